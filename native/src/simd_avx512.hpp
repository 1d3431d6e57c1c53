// Vectors of 16 lanes for AVX-512 with VNNI: one register each. The file that includes this names its table.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "inputs.hpp"

namespace townsfolk {
namespace {

struct Simd {
    static constexpr const char* kName = TOWNSFOLK_KERNELS_NAME;
    static constexpr int kRows = 8;
    static constexpr int kQueries = 6;

    using Floats = __m512;
    using Ints = __m512i;

    static Floats fill(float x) { return _mm512_set1_ps(x); }
    static Floats load(const float* p) { return _mm512_loadu_ps(p); }
    static Floats load(const Half* p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static Floats load(const std::int8_t* p) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    }
    static void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
    static void store(Half* p, Floats a) {
        const __m256i bits = _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bits);
    }
    static void store(std::int16_t* p, Ints a) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a));
    }

    static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
    static Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
    static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
    static Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
    static Floats smaller(Floats a, Floats b) { return _mm512_min_ps(a, b); }
    static Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

    static Ints round(Floats a) { return _mm512_cvtps_epi32(a); }
    static Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
    static Floats power_of_two(Ints a) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(a, _mm512_set1_epi32(127)), 23));
    }

    static float sum(Floats a) { return _mm512_reduce_add_ps(a); }
    static float largest(Floats a) { return _mm512_reduce_max_ps(a); }
    // Lane i of the result is sum(rows[i]).
    static Floats sums(const Floats* rows) {
        const Floats first = pair_sums(four_sums(rows), four_sums(rows + 4));
        return pair_sums(first, pair_sums(four_sums(rows + 8), four_sums(rows + 12)));
    }

    // x * inverse, rounded to whole numbers and parted into planes. Returns their sum.
    static int split(const float* x, float inverse, InputPlanes& out) {
        const Ints low = split_tile(x, inverse, out.low, out.high);
        const Ints high = split_tile(x + kTile, inverse, out.low + kTile, out.high + kTile);
        return _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
    }

    // 4 bits: a register holds 16 columns, 4 inputs each.
    struct Weights4 {
        __m512i groups[kBlock / 4];
    };
    static void unpack(const std::uint8_t* packed, Weights4& out) {
        for (int group = 0; group < kBlock / 4; ++group) out.groups[group] = unpack_group(packed, group);
    }
    static __m512i unpack_group(const std::uint8_t* packed, int group) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed) + group);
        const __m512i shifts = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
        const __m512i twice = _mm512_broadcast_i64x4(bytes);
        return _mm512_and_si512(_mm512_srlv_epi16(twice, shifts), _mm512_set1_epi8(15));
    }
    template <int R>
    static void dot(const Weights4& weights, const InputPlanes* x, Ints* out) {
        Ints high[R];
        for (int r = 0; r < R; ++r) out[r] = high[r] = _mm512_setzero_si512();
        for (int group = 0; group < kBlock / 4; ++group) {
            const __m512i own = weights.groups[group];
            for (int r = 0; r < R; ++r) {
                out[r] = _mm512_dpbusd_epi32(out[r], own, four_bytes(x[r].low + 4 * group));
                high[r] = _mm512_dpbusd_epi32(high[r], own, four_bytes(x[r].high + 4 * group));
            }
        }
        for (int r = 0; r < R; ++r) out[r] = _mm512_add_epi32(out[r], _mm512_slli_epi32(high[r], 4));
    }

    // 8 bits: a register holds 16 columns, 2 inputs each.
    struct Weights8 {
        __m512i pairs[kBlock / 2];
    };
    static void unpack(const std::uint8_t* packed, Weights8& out) {
        for (int pair = 0; pair < kBlock / 2; ++pair) out.pairs[pair] = unpack_pair(packed, pair);
    }
    static __m512i unpack_pair(const std::uint8_t* packed, int pair) {
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed) + pair));
    }
    template <int R>
    static void dot(const Weights8& weights, const std::int16_t* const* x, Ints* out) {
        for (int r = 0; r < R; ++r) out[r] = _mm512_setzero_si512();
        for (int pair = 0; pair < kBlock / 2; ++pair) {
            for (int r = 0; r < R; ++r) {
                out[r] = _mm512_dpwssd_epi32(out[r], weights.pairs[pair], four_bytes(x[r] + 2 * pair));
            }
        }
    }

  private:
    // Sums of 4 rows over the places 0 to 3 of each quarter, one row a lane.
    static Floats four_sums(const Floats* rows) {
        const __m512d a = _mm512_castps_pd(two_sums(rows)), b = _mm512_castps_pd(two_sums(rows + 2));
        return add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    static Floats two_sums(const Floats* rows) {
        return add(_mm512_unpacklo_ps(rows[0], rows[1]), _mm512_unpackhi_ps(rows[0], rows[1]));
    }
    // Sums of neighbouring quarters: those of `a`, then those of `b`.
    static Floats pair_sums(Floats a, Floats b) {
        return add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    }
    static Ints split_tile(const float* x, float inverse, std::int8_t* low, std::int8_t* high) {
        const Ints whole = round(multiply(load(x), fill(inverse)));
        const Ints above = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(kHighUnit / 2)), 4);
        store(high, above);
        store(low, _mm512_sub_epi32(whole, _mm512_slli_epi32(above, 4)));
        return whole;
    }
    static void store(std::int8_t* p, Ints a) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
    }
    static __m512i four_bytes(const void* p) {
        std::int32_t bytes;
        std::memcpy(&bytes, p, sizeof bytes);
        return _mm512_set1_epi32(bytes);
    }
};

}  // namespace
}  // namespace townsfolk
