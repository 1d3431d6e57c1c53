// The kernels, written once over `Simd`; each kernels_*.cpp compiles them for one instruction set.
// Attention and linear layers are in files of their own; the table is told who multiplies with weights of 4
// and of 8 bits: `Four` and `Eight`.
//
// All of it lies in an unnamed namespace and uses no inline function of the standard library: the linker
// might else keep the copy of a stronger instruction set for everyone.
#pragma once

#include "attention_impl.hpp"
#include "exponential.hpp"
#include "kernels.hpp"
#include "linear_common.hpp"

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

void to_bytes(const float* x, int width, std::int8_t* out, Half* scales) {
    const Floats limit = Simd::fill(127.0f), lowest = Simd::fill(-127.0f);
    for (int i = 0; i < width; i += kTile) {
        // The scale as it will be read: rounded to 16 bits.
        Half halves[kTile];
        Simd::store(halves, Simd::divide(Simd::fill(largest_magnitude(x + i, kTile)), limit));
        float rounded[kTile];
        Simd::store(rounded, Simd::load(halves));
        scales[i / kTile] = halves[0];
        const Floats inverse = Simd::fill(rounded[0] > 0 ? 1.0f / rounded[0] : 0.0f);
        const Floats scaled = Simd::multiply(Simd::load(x + i), inverse);
        std::int16_t lanes[kTile];
        Simd::store(lanes, Simd::round(Simd::larger(Simd::smaller(scaled, limit), lowest)));
        for (int lane = 0; lane < kTile; ++lane) out[i + lane] = static_cast<std::int8_t>(lanes[lane]);
    }
}

// The fast Walsh-Hadamard transform, over stretches of the highest power of two that divides `size`.
void spread(float* head, int size) {
    const int stretch = size & -size;
    for (int half = 1; half < stretch; half *= 2) {
        for (int first = 0; first < size; first += 2 * half) {
            for (int i = first; i < first + half; ++i) {
                const float a = head[i], b = head[i + half];
                head[i] = a + b;
                head[i + half] = a - b;
            }
        }
    }
    const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(stretch));
    for (int i = 0; i < size; ++i) head[i] *= scale;
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

void project_up(const Half* up, int tiles, int rank, Rows<const float> lanes, int count, Rows<float> out) {
    for (int row = 0; row < count; ++row) {
        const float* own = lanes.row(row);
        float* place = out.row(row);
        const Half* weights = up;
        for (int tile = 0; tile < tiles; ++tile, place += kTile) {
            Floats total = Simd::load(place);
            for (int lane = 0; lane < rank; ++lane, weights += kTile) {
                total = Simd::fused(Simd::fill(own[lane]), Simd::load(weights), total);
            }
            Simd::store(place, total);
        }
    }
}

void put(const float* sums, int count, float* out, std::size_t stride) {
    for (; count > 0; --count, sums += kTile, out += stride) Simd::store(out, Simd::load(sums));
}

void add(const float* sums, int count, float* out, std::size_t stride) {
    for (; count > 0; --count, sums += kTile, out += stride) {
        Simd::store(out, Simd::add(Simd::load(out), Simd::load(sums)));
    }
}

template <class Four, class Eight>
std::size_t panel_bytes(Bits bits, int rows, int blocks) {
    return bits == Bits::kFour ? Four::panel_bytes(rows, blocks) : Eight::panel_bytes(rows, blocks);
}

template <class Four, class Eight>
void round(const float* x, const Panel& panel, int row) {
    panel.bits == Bits::kFour ? Four::round(x, panel, row) : Eight::round(x, panel, row);
}

template <class Four, class Eight>
void multiply(const std::uint8_t* tile, const Panel& panel, int first, int count, float* out) {
    const auto own = panel.bits == Bits::kFour ? Four::multiply : Eight::multiply;
    own(tile, panel, first, count, out);
}

template <class Four, class Eight>
constexpr Kernels kTable = {Simd::kName,
                            Four::kPanelRows,
                            normalize,
                            panel_bytes<Four, Eight>,
                            round<Four, Eight>,
                            gate,
                            rotate,
                            to_half,
                            to_bytes,
                            spread,
                            multiply<Four, Eight>,
                            project_down,
                            project_up,
                            put,
                            add,
                            attend,
                            merge,
                            settle};

}  // namespace
}  // namespace townsfolk
