// Linear layers, over the `Simd` of the file that includes this: activations are rounded to integers, then
// multiplied with a weight tile. What kernels_impl.hpp says of linking holds here too.
#pragma once

#include "kernels.hpp"

namespace townsfolk {
namespace {

using Floats = Simd::Floats;

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

void round_block(const float* x, InputBlock& out) {
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

void round_blocks(const float* x, int width, InputBlock* out, int stride) {
    for (int at = 0; at < width; at += kBlock, out += stride) round_block(x + at, *out);
}

float largest_magnitude(const float* x, int width) {
    Floats most = Simd::fill(0);
    for (int i = 0; i < width; i += kTile) {
        const Floats value = Simd::load(x + i);
        most = Simd::larger(most, Simd::larger(value, Simd::subtract(Simd::fill(0), value)));
    }
    return Simd::largest(most);
}

void round_row(const float* x, int width, InputRow out) {
    constexpr float limit = 32767.0f;
    const float most = largest_magnitude(x, width);
    const Floats inverse = Simd::fill(most > 0 ? limit / most : 0.0f);
    *out.scale = most / limit;
    for (int i = 0; i < width; i += kTile) {
        Simd::store(out.quants + i, Simd::round(Simd::multiply(Simd::load(x + i), inverse)));
    }
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

struct Block8 {
    Simd::Weights8 weights;
    float scales[kTile];

    explicit Block8(const std::uint8_t* packed) {
        Simd::store(scales, Simd::load(reinterpret_cast<const Half*>(packed)));
        Simd::unpack(packed + header_bytes(Bits::kEight), weights);
    }
};

// Adds a block's products with `count` rows to their sums: integers within the block, floats beyond. Rows go
// in groups of R, those left over in groups of half as many. Not inlined: the unpacked weights shall stay in
// memory, which is near; the registers are for sums.
template <int R>
[[gnu::noinline]] void add_block(const Block4& block, const InputBlock* x, int count, float* sums) {
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

template <int R>
[[gnu::noinline]] void add_block(const Block8& block, const InputRow* rows, int at, int count, float* sums) {
    for (; count >= R; count -= R, rows += R, sums += R * kTile) {
        const std::int16_t* x[R];
        for (int r = 0; r < R; ++r) x[r] = rows[r].quants + at;
        Simd::Ints dots[R];
        Simd::template dot<R>(block.weights, x, dots);
        for (int r = 0; r < R; ++r) {
            const Floats sum = Simd::load(sums + r * kTile);
            Simd::store(sums + r * kTile,
                        Simd::fused(Simd::load(block.scales), Simd::to_floats(dots[r]), sum));
        }
    }
    if constexpr (R > 1) add_block<R / 2>(block, rows, at, count, sums);
}

void clear(float* sums, int count) {
    for (int r = 0; r < count; ++r) Simd::store(sums + r * kTile, Simd::fill(0));
}

// Asks for a block that comes soon: with few rows the arithmetic is over before the memory has answered.
constexpr int kBlocksAhead = 8;
void prefetch(const std::uint8_t* tile, Bits bits) {
    const std::uint8_t* block = tile + kBlocksAhead * block_bytes(bits);
    for (int at = 0; at < block_bytes(bits); at += 64) __builtin_prefetch(block + at);
}

void multiply4(const std::uint8_t* tile, int blocks, const InputBlock* x, int stride, int count, float* out) {
    clear(out, count);
    for (int b = 0; b < blocks; ++b, tile += block_bytes(Bits::kFour), x += stride) {
        prefetch(tile, Bits::kFour);
        add_block<Simd::kRows>(Block4(tile), x, count, out);
    }
}

void multiply8(const std::uint8_t* tile, int blocks, const InputRow* rows, int count, float* out) {
    clear(out, count);
    for (int b = 0; b < blocks; ++b, tile += block_bytes(Bits::kEight)) {
        prefetch(tile, Bits::kEight);
        add_block<Simd::kRows>(Block8(tile), rows, b * kBlock, count, out);
    }
    for (int r = 0; r < count; ++r) {
        const Floats sum = Simd::load(out + r * kTile);
        Simd::store(out + r * kTile, Simd::multiply(sum, Simd::fill(*rows[r].scale)));
    }
}

}  // namespace
}  // namespace townsfolk
