// Products with 4-bit weights of activations in 12 bits, as two planes of bytes: for instruction sets whose
// products of bytes are added up in 32 bits.
//
// A panel is [blocks, rows + 1] InputPlanes, then as many PlaneScales: read from front to end for every tile.
#pragma once

#include "inputs.hpp"
#include "linear_common.hpp"

namespace townsfolk {
namespace {

// Adds a row's products with a block to its sum.
inline Floats add_products(Simd::Ints dot, const PlaneScale& x, Floats scales, Floats minima, Floats sum) {
    const Floats products = Simd::multiply(Simd::to_floats(dot), Simd::fill(x.scale));
    return Simd::fused(minima, Simd::fill(x.sum), Simd::fused(scales, products, sum));
}

// Adds a block's products with `count` rows to their sums: integers within the block, floats beyond. Rows go
// in groups of R, those left over in groups of half as many.
template <int R>
void add_block(const Block4& block, const InputPlanes* x, const PlaneScale* scale, int count, float* sums) {
    for (; count >= R; count -= R, x += R, scale += R, sums += R * kTile) {
        Simd::Ints dots[R];
        Simd::template dot<R>(block.weights, x, dots);
        const Floats scales = Simd::load(block.scales), minima = Simd::load(block.minima);
        for (int r = 0; r < R; ++r) {
            const Floats sum = Simd::load(sums + r * kTile);
            Simd::store(sums + r * kTile, add_products(dots[r], scale[r], scales, minima, sum));
        }
    }
    if constexpr (R > 1) add_block<R / 2>(block, x, scale, count, sums);
}

struct FourBitPlanes {
    static constexpr int kPanelRows = 32;  // their sums stay in the first-level cache

    static std::size_t panel_bytes(int rows, int blocks) {
        const std::size_t count = static_cast<std::size_t>(line_stride(rows)) * blocks;
        return sizeof(InputPlanes) * count + (sizeof(PlaneScale) * count + 63) / 64 * 64;
    }

    static void round(const float* x, const Panel& panel, int row) {
        const int stride = line_stride(panel.rows);
        InputPlanes* out = planes(panel) + row;
        PlaneScale* scale = scales(panel) + row;
        for (int b = 0; b < panel.blocks; ++b, x += kBlock, out += stride, scale += stride) {
            const float most = largest_magnitude(x, kBlock);
            scale->scale = most * (1 / kMostPlanes);
            const float inverse = most > 0 ? kMostPlanes / most : 0.0f;
            scale->sum = scale->scale * static_cast<float>(Simd::split(x, inverse, *out));
        }
    }

    static void multiply(const std::uint8_t* tile, const Panel& panel, int first, int count, float* out) {
        const int stride = line_stride(panel.rows);
        const InputPlanes* x = planes(panel) + first;
        const PlaneScale* scale = scales(panel) + first;
        clear(out, count);
        for (int b = 0; b < panel.blocks; ++b, x += stride, scale += stride) {
            prefetch(tile, Bits::kFour);
            add_block<Simd::kRows>(Block4(tile), x, scale, count, out);
            tile += block_bytes(Bits::kFour);
        }
    }

  protected:
    static InputPlanes* planes(const Panel& panel) { return reinterpret_cast<InputPlanes*>(panel.bytes); }
    static PlaneScale* scales(const Panel& panel) {
        return reinterpret_cast<PlaneScale*>(planes(panel) + line_stride(panel.rows) * panel.blocks);
    }
};

}  // namespace
}  // namespace townsfolk
