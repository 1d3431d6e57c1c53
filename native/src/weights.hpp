// Weight matrices and adapters, laid out for the kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace townsfolk {

// A weight matrix [columns, width], in the format that kernels.hpp draws. Columns are outputs; those beyond
// the matrix that fill its last tile are zero.
struct PackedMatrix {
    Bits bits = Bits::kEight;
    int columns = 0;
    int width = 0;
    std::vector<std::uint8_t> bytes;

    int tiles() const { return (columns + kTile - 1) / kTile; }
    int blocks() const { return width / kBlock; }
    const std::uint8_t* tile(int index) const {
        return bytes.data() + static_cast<std::size_t>(index) * blocks() * block_bytes(bits);
    }
};

// From integers of 4 bits, kept as they are: weight = scale * (q - 8) + offset.
//   packed [columns, width/2]: input 2i in the low half of a byte; scales, offsets [columns, width/32];
//   `offsets` may be null: all zero.
PackedMatrix pack_four_bits(const std::uint8_t* packed, const float* scales, const float* offsets,
                            int columns, int width);

// From floats [columns, width], rounded to 8 bits with a scale for each block of a column.
PackedMatrix pack_eight_bits(const float* values, int columns, int width);

// One target of a LoRA adapter: columns first_tile * 16 and on get scaling * up * (down * x).
struct LowRank {
    int first_tile;
    int tiles;
    int rank;
    float scaling;
    std::vector<Half> down;  // [rank, width]
    std::vector<Half> up;    // [tiles, rank, kTile]
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
