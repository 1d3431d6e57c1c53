// Vectors of 16 lanes for AVX-512 with VNNI: one register each.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels.hpp"

namespace townsfolk {
namespace {

struct Simd {
    static constexpr const char* kName = "avx512vnni";
    static constexpr int kRows = 8;

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
    static Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
    static Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
    static Floats power_of_two(Ints a) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(a, _mm512_set1_epi32(127)), 23));
    }

    static float sum(Floats a) { return _mm512_reduce_add_ps(a); }
    static float largest(Floats a) { return _mm512_reduce_max_ps(a); }
    static Floats sums(const Floats* rows) {
        alignas(64) float lanes[kTile];
        for (int i = 0; i < kTile; ++i) lanes[i] = sum(rows[i]);
        return _mm512_load_ps(lanes);
    }

    template <int R>
    static void dot4(const std::uint8_t* packed, const std::int16_t* const* x, Ints* out) {
        const __m256i nibble = _mm256_set1_epi16(15);
        for (int r = 0; r < R; ++r) out[r] = _mm512_setzero_si512();
        for (int group = 0; group < kBlock / 4; ++group) {
            const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed) + group);
            accumulate<R>(
                join(_mm256_and_si256(words, nibble), _mm256_and_si256(_mm256_srli_epi16(words, 4), nibble)),
                x, 4 * group, out);
            accumulate<R>(
                join(_mm256_and_si256(_mm256_srli_epi16(words, 8), nibble), _mm256_srli_epi16(words, 12)), x,
                4 * group + 2, out);
        }
    }
    template <int R>
    static void dot8(const std::uint8_t* packed, const std::int16_t* const* x, Ints* out) {
        for (int r = 0; r < R; ++r) out[r] = _mm512_setzero_si512();
        for (int pair = 0; pair < kBlock / 2; ++pair) {
            const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed) + pair);
            accumulate<R>(_mm512_cvtepi8_epi16(bytes), x, 2 * pair, out);
        }
    }

  private:
    static __m512i join(__m256i low, __m256i high) {
        return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    template <int R>
    static void accumulate(__m512i weights, const std::int16_t* const* x, int at, Ints* out) {
        for (int r = 0; r < R; ++r) {
            std::int32_t two;
            std::memcpy(&two, x[r] + at, sizeof two);
            out[r] = _mm512_dpwssd_epi32(out[r], weights, _mm512_set1_epi32(two));
        }
    }
};

}  // namespace
}  // namespace townsfolk
