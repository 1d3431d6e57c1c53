// Products with 8-bit weights of activations in 16 bits, with a scale a row.
//
// A panel is [rows, 32 * blocks] integers, then [rows] scales: x = scale * integer.
#pragma once

#include "linear_common.hpp"

namespace townsfolk {
namespace {

struct Block8 {
    Simd::Weights8 weights;
    float scales[kTile];

    explicit Block8(const std::uint8_t* packed) {
        Simd::store(scales, Simd::load(reinterpret_cast<const Half*>(packed)));
        Simd::unpack(packed + header_bytes(Bits::kEight), weights);
    }
};

// Adds a block's products with `count` rows to their sums, as in linear_groups.hpp.
template <int R>
[[gnu::noinline]] void add_block(const Block8& block, const std::int16_t* x, int stride, int count,
                                 float* sums) {
    for (; count >= R; count -= R, x += R * stride, sums += R * kTile) {
        const std::int16_t* rows[R];
        for (int r = 0; r < R; ++r) rows[r] = x + r * stride;
        Simd::Ints dots[R];
        Simd::template dot<R>(block.weights, rows, dots);
        for (int r = 0; r < R; ++r) {
            const Floats sum = Simd::load(sums + r * kTile);
            Simd::store(sums + r * kTile,
                        Simd::fused(Simd::load(block.scales), Simd::to_floats(dots[r]), sum));
        }
    }
    if constexpr (R > 1) add_block<R / 2>(block, x, stride, count, sums);
}

struct EightBitRows {
    static std::size_t panel_bytes(int rows, int blocks) {
        return sizeof(InputLine) * rows * blocks + (sizeof(float) * rows + 63) / 64 * 64;
    }

    static void round(const float* x, const Panel& panel, int row) {
        constexpr float limit = 32767.0f;
        const int width = panel.blocks * kBlock;
        std::int16_t* out = integers(panel, row);
        const float most = largest_magnitude(x, width);
        const Floats inverse = Simd::fill(most > 0 ? limit / most : 0.0f);
        scales(panel)[row] = most / limit;
        for (int i = 0; i < width; i += kTile) {
            Simd::store(out + i, Simd::round(Simd::multiply(Simd::load(x + i), inverse)));
        }
    }

    static void multiply(const std::uint8_t* tile, const Panel& panel, int first, int count, float* out) {
        const std::int16_t* x = integers(panel, first);
        clear(out, count);
        for (int b = 0; b < panel.blocks; ++b, tile += block_bytes(Bits::kEight), x += kBlock) {
            prefetch(tile, Bits::kEight);
            add_block<Simd::kRows>(Block8(tile), x, panel.blocks * kBlock, count, out);
        }
        scale(panel, first, count, out);
    }

  protected:
    using InputLine = std::int16_t[kBlock];

    static std::int16_t* integers(const Panel& panel, int row) {
        return *(reinterpret_cast<InputLine*>(panel.bytes) + static_cast<std::size_t>(row) * panel.blocks);
    }
    static float* scales(const Panel& panel) { return reinterpret_cast<float*>(integers(panel, panel.rows)); }
    static void scale(const Panel& panel, int first, int count, float* out) {
        for (int r = 0; r < count; ++r) {
            const Floats sum = Simd::load(out + r * kTile);
            Simd::store(out + r * kTile, Simd::multiply(sum, Simd::fill(scales(panel)[first + r])));
        }
    }
};

}  // namespace
}  // namespace townsfolk
