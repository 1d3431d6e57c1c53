// The types of weights in GGUF files, read 32 at a time. It knows how GGML lays a row out; it refuses to know
// how the kernels want it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"

namespace townsfolk {

// Numbered as in GGUF files.
enum class GgufType : int {
    kF32 = 0,
    kF16 = 1,
    kQ4_0 = 2,
    kQ4_1 = 3,
    kQ5_0 = 6,
    kQ5_1 = 7,
    kQ8_0 = 8,
    kQ4_K = 12,
    kQ5_K = 13,
    kQ6_K = 14,
    kBF16 = 30,
};

// Bytes of a row of `width` weights. Throws std::invalid_argument for a type that is not above, and for a
// width that is no whole number of the type's blocks and ours.
std::size_t row_bytes(GgufType type, int width);

// Whether all weights are scale * q + minimum with q from 0 to 15 and a scale and a minimum for 32 inputs.
bool has_four_bits(GgufType type);

// 32 weights of a column: scale * q + minimum.
struct QuantBlock {
    float scale, minimum;
    std::int8_t q[kBlock];
};

// Inputs 32 * block and on of a row: as they are, for a type that has 4 bits; as floats, for any.
QuantBlock read_four_bits(GgufType type, const std::uint8_t* row, int block);
void read_floats(GgufType type, const std::uint8_t* row, int block, float* values);

}  // namespace townsfolk
