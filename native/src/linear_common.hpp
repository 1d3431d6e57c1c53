// What all linear layers share, over the `Simd` of the file that includes this. What kernels_impl.hpp says of
// linking holds here too.
#pragma once

#include "kernels.hpp"

namespace townsfolk {
namespace {

using Floats = Simd::Floats;

// Lines of 64 bytes from a block of a panel to the next one: one more than rows. A power of two would send
// all blocks of a row to the same few places of a cache.
constexpr int line_stride(int rows) { return rows + 1; }

float largest_magnitude(const float* x, int width) {
    Floats most = Simd::fill(0);
    for (int i = 0; i < width; i += kTile) {
        const Floats value = Simd::load(x + i);
        most = Simd::larger(most, Simd::larger(value, Simd::subtract(Simd::fill(0), value)));
    }
    return Simd::largest(most);
}

// A block of weights as the dot products want it: unpacked once for all rows.
struct Block4 {
    Simd::Weights4 weights;
    float scales[kTile], minima[kTile];

    explicit Block4(const std::uint8_t* packed) {
        const Half* header = reinterpret_cast<const Half*>(packed);
        Simd::store(scales, Simd::load(header));
        Simd::store(minima, Simd::load(header + kTile));
        Simd::unpack(packed + header_bytes(Bits::kFour), weights);
    }
};

void clear(float* sums, int count) {
    for (int r = 0; r < count; ++r) Simd::store(sums + r * kTile, Simd::fill(0));
}

// Asks for a block that comes soon: with few rows the arithmetic is over before the memory has answered.

constexpr int kBlocksAhead = 8;
void prefetch(const std::uint8_t* tile, Bits bits) {
    const std::uint8_t* block = tile + kBlocksAhead * block_bytes(bits);
    for (int at = 0; at < block_bytes(bits); at += 64) __builtin_prefetch(block + at);
}

}  // namespace
}  // namespace townsfolk
