// Weight matrices and adapters, laid out for the kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned.hpp"
#include "gguf_blocks.hpp"
#include "kernels.hpp"
#include "large_pages.hpp"

namespace townsfolk {

// A weight matrix [columns, width], in the format that kernels.hpp draws. Columns are outputs; those beyond
// the matrix that fill its last tile are zero.
struct PackedMatrix {
    Bits bits = Bits::kEight;
    int columns = 0;
    int width = 0;
    LargePages bytes;

    int tiles() const { return (columns + kTile - 1) / kTile; }
    int blocks() const { return width / kBlock; }
    const std::uint8_t* tile(int index) const {
        return bytes.data() + static_cast<std::size_t>(index) * blocks() * block_bytes(bits);
    }
};

// Rows of one tensor of a GGUF file, as they are there; outputs of a linear layer.
struct RawRows {
    GgufType type;
    const std::uint8_t* bytes;
    std::size_t size;  // of `bytes`
    int rows;
    const std::int32_t* order;  // [rows] which row comes first, and so on; null: as they are
};

// Stacks `parts`, each [rows, width], in 4 bits where all of them have no more, else rounded to 8 bits with a
// scale for each block of a column. Throws std::invalid_argument where sizes do not fit or a weight is no
// number.
PackedMatrix pack(const std::vector<RawRows>& parts, int width);

// The weights of a column [width], as products have them.
void read_column(const PackedMatrix& matrix, int column, float* weights);

// One target of a LoRA adapter: columns first_tile * 16 and on get scaling * up * (down * x).
struct LowRank {
    int first_tile;
    int tiles;
    int rank;
    float scaling;
    Aligned<Half> down;  // [rank, width]
    Aligned<Half> up;    // [tiles, rank, kTile]
};

// The linear layers of a decoder block; those with the same input are one.
enum Projection { kQkv, kOutput, kGateUp, kDown, kProjections };

constexpr int kMaxTargets = 3;  // of an adapter in one projection: q, k and v

struct Adapter {
    std::vector<std::vector<LowRank>> targets;  // [layers * kProjections]

    explicit Adapter(int layers) : targets(static_cast<std::size_t>(layers) * kProjections) {}
    const std::vector<LowRank>& at(int layer, int projection) const {
        return targets[static_cast<std::size_t>(layer) * kProjections + projection];
    }
};

// `b` is [rows, rank]: `rows` columns of the projection from `first` on, both multiples of 16.
LowRank pack_low_rank(const Half* a, const Half* b, int width, int first, int rows, int rank, float scaling);

}  // namespace townsfolk
