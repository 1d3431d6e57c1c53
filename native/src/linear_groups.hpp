// Products with 4-bit weights of activations in 8 bits, the largest of them in 15: for instruction sets whose
// products of bytes are added up in 16 bits.
//
// A panel is [blocks, rows + 1] GroupedInputs: read from front to end for every tile.
#pragma once

#include "inputs.hpp"
#include "linear_common.hpp"

namespace townsfolk {
namespace {

constexpr int kGroups = kBlock / kGroup;
constexpr float kMostNarrow = 127, kWideUnit = 128;

// The groups of a block, the one with the largest magnitude first: `order` [kGroups].
void rank_groups(const float* peaks, int* order) {
    using Eight [[gnu::vector_size(32)]] = std::int32_t;
    // Magnitudes as their bits, the last three replaced by the group's index: no two are equal.
    Eight keys, ranks = {};
    __builtin_memcpy(&keys, peaks, sizeof keys);
    keys = (keys & -kGroups) | Eight{0, 1, 2, 3, 4, 5, 6, 7};
    for (int other = 0; other < kGroups; ++other) ranks -= keys < keys[other];  // true is -1
    for (int i = 0; i < kGroups; ++i) order[ranks[i]] = i;
}

void round_block(const float* x, GroupedInputs& out) {
    float peaks[kGroups];
    int order[kGroups];
    Simd::group_peaks(x, peaks);
    rank_groups(peaks, order);
    const float narrow = peaks[order[kWide]] / kMostNarrow;
    const float wide = peaks[order[0]] / (kMostNarrow * kWideUnit);
    out.scale = narrow > wide ? narrow : wide;
    const Floats inverse = Simd::fill(out.scale > 0 ? 1 / out.scale : 0.0f);
    Simd::Ints whole[2], high[2], low[2];
    Floats sum = Simd::fill(0);
    for (int i = 0; i < 2; ++i) {
        const Floats scaled = Simd::multiply(Simd::load(x + i * kTile), inverse);
        whole[i] = Simd::round(scaled);
        high[i] = Simd::round(Simd::multiply(scaled, Simd::fill(1 / kWideUnit)));
        const Floats rounded = Simd::to_floats(whole[i]);
        low[i] = Simd::round(Simd::fused(Simd::to_floats(high[i]), Simd::fill(-kWideUnit), rounded));
        sum = Simd::add(sum, rounded);
    }
    out.sum = out.scale * Simd::sum(sum);
    std::int8_t lows[kBlock], highs[kBlock];
    Simd::store(out.quants, whole[0], whole[1]);
    Simd::store(lows, low[0], low[1]);
    Simd::store(highs, high[0], high[1]);
    for (int i = 0; i < kWide; ++i) {
        const int at = order[i] * kGroup;
        out.places[i] = static_cast<std::uint16_t>(order[i] * kGroupBytes);
        __builtin_memcpy(out.quants + at, lows + at, kGroup);
        __builtin_memcpy(out.wide[i], highs + at, kGroup);
    }
}

// Adds a block's products with `count` rows to their sums: integers within the block, floats beyond. Rows go
// in groups of R, those left over in groups of half as many. Not inlined: the unpacked weights shall stay in
// memory, which is near; the registers are for sums.
template <int R>
[[gnu::noinline]] void add_block(const Block4& block, const GroupedInputs* x, int count, float* sums) {
    for (; count >= R; count -= R, x += R, sums += R * kTile) {
        Simd::Ints dots[R];
        Simd::template dot<R>(block.weights, x, dots);
        for (int r = 0; r < R; ++r) {
            const Floats dot = Simd::multiply(Simd::to_floats(dots[r]), Simd::fill(x[r].scale));
            const Floats sum = Simd::fused(Simd::load(block.scales), dot, Simd::load(sums + r * kTile));
            Simd::store(sums + r * kTile, Simd::fused(Simd::load(block.minima), Simd::fill(x[r].sum), sum));
        }
    }
    if constexpr (R > 1) add_block<R / 2>(block, x, count, sums);
}

struct FourBitGroups {
    static constexpr int kPanelRows = 32;  // their sums stay in the first-level cache

    static std::size_t panel_bytes(int rows, int blocks) {
        return sizeof(GroupedInputs) * line_stride(rows) * blocks;
    }

    static void round(const float* x, const Panel& panel, int row) {
        GroupedInputs* out = reinterpret_cast<GroupedInputs*>(panel.bytes) + row;
        for (int b = 0; b < panel.blocks; ++b, x += kBlock, out += line_stride(panel.rows))
            round_block(x, *out);
    }

    static void multiply(const std::uint8_t* tile, const Panel& panel, int first, int count, float* out) {
        const GroupedInputs* x = reinterpret_cast<const GroupedInputs*>(panel.bytes) + first;
        clear(out, count);
        for (int b = 0; b < panel.blocks;
             ++b, tile += block_bytes(Bits::kFour), x += line_stride(panel.rows)) {
            prefetch(tile, Bits::kFour);
            add_block<Simd::kRows>(Block4(tile), x, count, out);
        }
    }
};

}  // namespace
}  // namespace townsfolk
