#include "weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "half.hpp"

namespace townsfolk {
namespace {

PackedMatrix zeros(Bits bits, int columns, int width) {
    PackedMatrix matrix{bits, columns, width, {}};
    const std::size_t blocks = static_cast<std::size_t>(matrix.tiles()) * matrix.blocks();
    matrix.bytes.assign(blocks * block_bytes(bits), 0);
    return matrix;
}

std::uint8_t* block_of(PackedMatrix& matrix, int column, int block) {
    const std::size_t index = static_cast<std::size_t>(column / kTile) * matrix.blocks() + block;
    return matrix.bytes.data() + index * block_bytes(matrix.bits);
}

void set_scale(std::uint8_t* block, int lane, float scale, float minimum) {
    const Half values[] = {to_half(scale), to_half(minimum)};
    std::memcpy(block + 2 * lane, &values[0], sizeof(Half));
    std::memcpy(block + 2 * (kTile + lane), &values[1], sizeof(Half));
}

// `q` is from 0 to 15, for input `input` of the block.
void set_four_bits(std::uint8_t* block, int lane, int input, int q) {
    const int word = 2 * (lane % 8) + input % 2;
    const int nibble = input % 4 / 2 * 2 + lane / 8;
    std::uint8_t* byte = block + 4 * kTile + input / 4 * 2 * kTile + 2 * word + nibble / 2;
    *byte = static_cast<std::uint8_t>(*byte | q << (4 * (nibble % 2)));
}

void set_eight_bits(std::uint8_t* block, int lane, int input, int q) {
    block[4 * kTile + input / 2 * 2 * kTile + 2 * lane + input % 2] = static_cast<std::uint8_t>(q);
}

void round_block(std::uint8_t* block, int lane, const float* values) {
    float most = 0;
    for (int i = 0; i < kBlock; ++i) most = std::max(most, std::fabs(values[i]));
    const float scale = from_half(to_half(most / 127));
    set_scale(block, lane, scale, 0);
    for (int i = 0; i < kBlock; ++i) {
        const float q = scale > 0 ? std::nearbyint(values[i] / scale) : 0;
        set_eight_bits(block, lane, i, static_cast<int>(std::clamp(q, -127.0f, 127.0f)));
    }
}

}  // namespace

PackedMatrix pack_four_bits(const std::uint8_t* packed, const float* scales, const float* offsets,
                            int columns, int width) {
    PackedMatrix matrix = zeros(Bits::kFour, columns, width);
    for (int column = 0; column < columns; ++column) {
        for (int b = 0; b < matrix.blocks(); ++b) {
            const std::size_t at = static_cast<std::size_t>(column) * matrix.blocks() + b;
            std::uint8_t* block = block_of(matrix, column, b);
            set_scale(block, column % kTile, scales[at], (offsets ? offsets[at] : 0) - 8 * scales[at]);
            for (int i = 0; i < kBlock; ++i) {
                const int q = packed[at * kBlock / 2 + i / 2] >> (4 * (i % 2)) & 15;
                set_four_bits(block, column % kTile, i, q);
            }
        }
    }
    return matrix;
}

PackedMatrix pack_eight_bits(const float* values, int columns, int width) {
    PackedMatrix matrix = zeros(Bits::kEight, columns, width);
    for (int column = 0; column < columns; ++column) {
        for (int b = 0; b < matrix.blocks(); ++b) {
            const float* own = values + static_cast<std::size_t>(column) * width + b * kBlock;
            round_block(block_of(matrix, column, b), column % kTile, own);
        }
    }
    return matrix;
}

LowRank pack_low_rank(const Half* a, const Half* b, int width, int first, int rows, int rank, float scaling) {
    LowRank out{first / kTile, rows / kTile, rank, scaling, {a, a + rank * width}, {}};
    out.up.resize(static_cast<std::size_t>(rows) * rank);
    for (int row = 0; row < rows; ++row) {
        for (int lane = 0; lane < rank; ++lane) {
            out.up[(row / kTile * rank + lane) * kTile + row % kTile] = b[row * rank + lane];
        }
    }
    return out;
}

}  // namespace townsfolk
