// The kernels, written once over `Simd`; each kernels_*.cpp compiles them for one instruction set.
// Attention is in a file of its own.
//
// All of it lies in an unnamed namespace and uses no inline function of the standard library: the linker
// might else keep the copy of a stronger instruction set for everyone.
#pragma once

#include "attention_impl.hpp"
#include "exponential.hpp"
#include "kernels.hpp"

namespace townsfolk {
namespace {

void normalize(const float* x, const float* weight, float epsilon, int width, float* out) {
    Floats squares = Simd::fill(0);
    for (int i = 0; i < width; i += kTile) {
        const Floats value = Simd::load(x + i);
        squares = Simd::fused(value, value, squares);
    }
    const float mean = Simd::sum(squares) / static_cast<float>(width);
    const Floats scale = Simd::fill(1.0f / __builtin_sqrtf(mean + epsilon));
    for (int i = 0; i < width; i += kTile) {
        const Floats scaled = Simd::multiply(Simd::load(x + i), scale);
        Simd::store(out + i, Simd::multiply(scaled, Simd::load(weight + i)));
    }
}

float largest_magnitude(const float* x, int width) {
    Floats most = Simd::fill(0);
    for (int i = 0; i < width; i += kTile) {
        const Floats value = Simd::load(x + i);
        most = Simd::larger(most, Simd::larger(value, Simd::subtract(Simd::fill(0), value)));
    }
    return Simd::largest(most);
}

void quantize(const float* x, int width, QuantRow out) {
    constexpr float limit = 32767.0f;
    const float most = largest_magnitude(x, width);
    const Floats inverse = Simd::fill(most > 0 ? limit / most : 0.0f);
    *out.scale = most / limit;
    for (int at = 0; at < width; at += kBlock) {
        const Simd::Ints low = Simd::round(Simd::multiply(Simd::load(x + at), inverse));
        const Simd::Ints high = Simd::round(Simd::multiply(Simd::load(x + at + kTile), inverse));
        Simd::store(out.quants + at, low);
        Simd::store(out.quants + at + kTile, high);
        out.sums[at / kBlock] = Simd::sum(Simd::to_floats(Simd::add(low, high)));
    }
}

void gate(const float* gates, const float* up, int width, float* out) {
    const Floats one = Simd::fill(1.0f), zero = Simd::fill(0.0f);
    for (int i = 0; i < width; i += kTile) {
        const Floats x = Simd::load(gates + i);
        const Floats below = Simd::add(one, exponential(Simd::subtract(zero, x)));
        Simd::store(out + i, Simd::multiply(Simd::divide(x, below), Simd::load(up + i)));
    }
}

void rotate(float* head, const float* cosines, const float* sines, int half, float scale) {
    for (int i = 0; i < half; ++i) {
        const float a = head[i], b = head[i + half];
        head[i] = (a * cosines[i] - b * sines[i]) * scale;
        head[i + half] = (b * cosines[i] + a * sines[i]) * scale;
    }
}

void to_half(const float* x, int width, Half* out) {
    for (int i = 0; i < width; i += kTile) Simd::store(out + i, Simd::load(x + i));
}

void to_bytes(const float* x, int width, std::int8_t* out, Half* scale) {
    constexpr float limit = 127.0f;
    // The scale as it will be read: rounded to 16 bits.
    Half scales[kTile];
    Simd::store(scales, Simd::fill(largest_magnitude(x, width) / limit));
    float rounded[kTile];
    Simd::store(rounded, Simd::load(scales));
    *scale = scales[0];
    const Floats inverse = Simd::fill(rounded[0] > 0 ? 1.0f / rounded[0] : 0.0f);
    for (int i = 0; i < width; i += kTile) {
        const Floats scaled = Simd::multiply(Simd::load(x + i), inverse);
        std::int16_t lanes[kTile];
        Simd::store(lanes,
                    Simd::round(Simd::larger(Simd::smaller(scaled, Simd::fill(limit)), Simd::fill(-limit))));
        for (int lane = 0; lane < kTile; ++lane) out[i + lane] = static_cast<std::int8_t>(lanes[lane]);
    }
}

// One tile by R rows. Integers within a block, floats from block to block.
template <int R>
void multiply_rows(const std::uint8_t* tile, Bits bits, int blocks, const QuantRow* rows, float* out) {
    Floats totals[R];
    const std::int16_t* x[R];
    for (int r = 0; r < R; ++r) {
        totals[r] = Simd::fill(0);
        x[r] = rows[r].quants;
    }
    for (int block = 0; block < blocks; ++block, tile += block_bytes(bits)) {
        const Half* header = reinterpret_cast<const Half*>(tile);
        Simd::Ints dots[R];
        if (bits == Bits::kFour) {
            Simd::template dot4<R>(tile + 4 * kTile, x, dots);
        } else {
            Simd::template dot8<R>(tile + 4 * kTile, x, dots);
        }
        const Floats scales = Simd::load(header), minima = Simd::load(header + kTile);
        for (int r = 0; r < R; ++r) {
            totals[r] = Simd::fused(scales, Simd::to_floats(dots[r]), totals[r]);
            totals[r] = Simd::fused(minima, Simd::fill(rows[r].sums[block]), totals[r]);
            x[r] += kBlock;
        }
    }
    for (int r = 0; r < R; ++r) {
        Simd::store(out + r * kTile, Simd::multiply(totals[r], Simd::fill(*rows[r].scale)));
    }
}

// In groups of R rows, what is left in groups of half as many.
template <int R>
void multiply_groups(const std::uint8_t* tile, Bits bits, int blocks, const QuantRow* rows, int count,
                     float* out) {
    for (; count >= R; count -= R, rows += R, out += R * kTile) {
        multiply_rows<R>(tile, bits, blocks, rows, out);
    }
    if constexpr (R > 1) multiply_groups<R / 2>(tile, bits, blocks, rows, count, out);
}

void multiply(const std::uint8_t* tile, Bits bits, int blocks, const QuantRow* rows, int count, float* out) {
    multiply_groups<Simd::kRows>(tile, bits, blocks, rows, count, out);
}

template <int R>
void project_rows(const Half* down, int rank, int width, float scaling, const float* const* x,
                  float* const* lanes) {
    for (int lane = 0; lane < rank; ++lane, down += width) {
        Floats totals[R];
        for (int r = 0; r < R; ++r) totals[r] = Simd::fill(0);
        for (int i = 0; i < width; i += kTile) {
            const Floats weights = Simd::load(down + i);
            for (int r = 0; r < R; ++r) totals[r] = Simd::fused(weights, Simd::load(x[r] + i), totals[r]);
        }
        for (int r = 0; r < R; ++r) lanes[r][lane] = scaling * Simd::sum(totals[r]);
    }
}

void project_down(const Half* down, int rank, int width, float scaling, const float* const* x, int count,
                  float* const* lanes) {
    for (; count >= 4; count -= 4, x += 4, lanes += 4) project_rows<4>(down, rank, width, scaling, x, lanes);
    for (; count > 0; --count, ++x, ++lanes) project_rows<1>(down, rank, width, scaling, x, lanes);
}

void project_up(const Half* up, int rank, const float* lanes, float* out) {
    Floats total = Simd::load(out);
    for (int lane = 0; lane < rank; ++lane) {
        total = Simd::fused(Simd::fill(lanes[lane]), Simd::load(up + lane * kTile), total);
    }
    Simd::store(out, total);
}

constexpr Kernels kTable = {Simd::kName, normalize,    quantize,   gate,   rotate, to_half, to_bytes,
                            multiply,    project_down, project_up, attend, merge,  settle};

}  // namespace
}  // namespace townsfolk
