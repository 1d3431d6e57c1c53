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

    static void store(std::int8_t* p, Ints a, Ints b) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + kTile), _mm512_cvtsepi32_epi8(b));
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
    static Floats sums(const Floats* rows) {
        alignas(64) float lanes[kTile];
        for (int i = 0; i < kTile; ++i) lanes[i] = sum(rows[i]);
        return _mm512_load_ps(lanes);
    }

    static void group_peaks(const float* x, float* out) {
        for (int half = 0; half < 2; ++half) {
            __m512 most = _mm512_abs_ps(_mm512_loadu_ps(x + half * kTile));
            most = _mm512_max_ps(most, _mm512_permute_ps(most, 0xb1));
            most = _mm512_max_ps(most, _mm512_permute_ps(most, 0x4e));
            // Stored from a register: a compressing store is microcode on Zen 4.
            _mm_storeu_ps(out + 4 * half, _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, most)));
        }
    }

    // 4 bits: a register holds 16 columns, 4 inputs each.
    struct Weights4 {
        __m512i groups[kBlock / 4];
    };
    static void unpack(const std::uint8_t* packed, Weights4& out) {
        const __m256i nibble = _mm256_set1_epi8(15);
        for (int group = 0; group < kBlock / 4; ++group) {
            const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed) + group);
            out.groups[group] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_and_si256(bytes, nibble)),
                                                   _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble), 1);
        }
    }
    template <int R>
    static void dot(const Weights4& weights, const InputBlock* x, Ints* out) {
        for (int r = 0; r < R; ++r) {
            Ints wide = _mm512_setzero_si512();
            for (int i = 0; i < kWide; ++i) {
                const __m512i own = weights.groups[x[r].places[i] / kGroupBytes];
                wide = _mm512_dpbusd_epi32(wide, own, four_bytes(x[r].wide[i]));
            }
            out[r] = _mm512_slli_epi32(wide, 7);
        }
        for (int group = 0; group < kBlock / 4; ++group) {
            for (int r = 0; r < R; ++r) {
                out[r] =
                    _mm512_dpbusd_epi32(out[r], weights.groups[group], four_bytes(x[r].quants + 4 * group));
            }
        }
    }

    // 8 bits: a register holds 16 columns, 2 inputs each.
    struct Weights8 {
        __m512i pairs[kBlock / 2];
    };
    static void unpack(const std::uint8_t* packed, Weights8& out) {
        const __m256i* bytes = reinterpret_cast<const __m256i*>(packed);
        for (int i = 0; i < kBlock / 2; ++i)
            out.pairs[i] = _mm512_cvtepi8_epi16(_mm256_loadu_si256(bytes + i));
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
    static __m512i four_bytes(const void* p) {
        std::int32_t bytes;
        std::memcpy(&bytes, p, sizeof bytes);
        return _mm512_set1_epi32(bytes);
    }
};

}  // namespace
}  // namespace townsfolk
