// Vectors of 16 lanes for AVX2, FMA and F16C: two registers each.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "inputs.hpp"

namespace townsfolk {
namespace {  // each instruction set has its own `Simd`: the linker must never merge them

struct Simd {
    static constexpr const char* kName = "avx2";
    static constexpr int kRows = 4;  // of a multiplication at once: its sums fill the registers
    static constexpr int kQueries =
        3;  // that share keys and values: with two keys their sums fill the registers

    struct Floats {
        __m256 low, high;
    };
    struct Ints {
        __m256i low, high;
    };

    static Floats fill(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
    static Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
    static Floats load(const Half* p) {
        const __m128i* halves = reinterpret_cast<const __m128i*>(p);
        return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
    }
    static Floats load(const std::int8_t* p) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
    }
    static void store(float* p, Floats a) {
        _mm256_storeu_ps(p, a.low);
        _mm256_storeu_ps(p + 8, a.high);
    }
    static void store(Half* p, Floats a) {
        constexpr int nearest = _MM_FROUND_TO_NEAREST_INT;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.low, nearest));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(a.high, nearest));
    }
    // Lanes fit in 16 bits.
    static void store(std::int16_t* p, Ints a) {
        const __m256i mixed = _mm256_packs_epi32(a.low, a.high);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(mixed, 0xd8));
    }

    // Lanes beyond 8 bits become the nearest that fits.
    static void store(std::int8_t* p, Ints a, Ints b) {
        const __m256i mixed =
            _mm256_packs_epi16(_mm256_packs_epi32(a.low, a.high), _mm256_packs_epi32(b.low, b.high));
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(mixed, order));
    }

    static Floats add(Floats a, Floats b) {
        return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
    }
    static Floats subtract(Floats a, Floats b) {
        return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
    }
    static Floats multiply(Floats a, Floats b) {
        return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
    }
    static Floats divide(Floats a, Floats b) {
        return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
    }
    static Floats larger(Floats a, Floats b) {
        return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
    }
    static Floats smaller(Floats a, Floats b) {
        return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
    }
    // a * b + c, rounded once.
    static Floats fused(Floats a, Floats b, Floats c) {
        return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
    }

    static Ints round(Floats a) { return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)}; }
    static Floats to_floats(Ints a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
    // 2 to the power of `a`, which is from -127 (giving 0) to 127.
    static Floats power_of_two(Ints a) { return {power_of_two(a.low), power_of_two(a.high)}; }

    static float sum(Floats a) {
        const __m256 eight = _mm256_add_ps(a.low, a.high);
        __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        four = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
    }
    static float largest(Floats a) {
        const __m256 eight = _mm256_max_ps(a.low, a.high);
        __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        four = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    }
    // Lane i of the result is sum(rows[i]).
    static Floats sums(const Floats* rows) { return {eight_sums(rows), eight_sums(rows + 8)}; }

    // Magnitudes of 32 activations: the largest of each group.
    static void group_peaks(const float* x, float* out) {
        const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
        for (int i = 0; i < kBlock; i += 8) {
            __m256 most = _mm256_and_ps(_mm256_loadu_ps(x + i), magnitude);
            most = _mm256_max_ps(most, _mm256_permute_ps(most, 0xb1));
            most = _mm256_max_ps(most, _mm256_permute_ps(most, 0x4e));
            out[i / 4] = _mm256_cvtss_f32(most);
            out[i / 4 + 1] = _mm_cvtss_f32(_mm256_extractf128_ps(most, 1));
        }
    }

    // 4 bits: the two registers of a group hold columns 0 to 7 and 8 to 15, 4 inputs each.
    struct Weights4 {
        __m256i groups[kBlock / 4][2];
    };
    static void unpack(const std::uint8_t* packed, Weights4& out) {
        const __m256i nibble = _mm256_set1_epi8(15);
        for (int group = 0; group < kBlock / 4; ++group) {
            const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed) + group);
            out.groups[group][0] = _mm256_and_si256(bytes, nibble);
            out.groups[group][1] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
        }
    }
    // out[r] = the sum over the block of weight * x[r].
    template <int R>
    static void dot(const Weights4& weights, const GroupedInputs* x, Ints* out) {
        for (int r = 0; r < R; ++r) out[r] = products(weights.groups[0], x[r].quants);
#pragma GCC unroll 8  // or else Clang keeps the sums in memory
        for (int group = 1; group < kBlock / 4; ++group) {
            for (int r = 0; r < R; ++r) {
                add_products(weights.groups[group], x[r].quants + 4 * group, out[r]);
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) add_wide(weights, x[r], out[r]);
    }

    // 8 bits: the two registers of a pair of inputs hold columns 0 to 7 and 8 to 15.
    struct Weights8 {
        __m256i pairs[kBlock / 2][2];
    };
    static void unpack(const std::uint8_t* packed, Weights8& out) {
        const __m128i* bytes = reinterpret_cast<const __m128i*>(packed);
        for (auto& [low, high] : out.pairs) {
            low = _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes++));
            high = _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes++));
        }
    }
    template <int R>
    static void dot(const Weights8& weights, const std::int16_t* const* x, Ints* out) {
        clear<R>(out);
        for (int pair = 0; pair < kBlock / 2; ++pair) {
            const __m256i* both = weights.pairs[pair];
            for (int r = 0; r < R; ++r) {
                const __m256i inputs = four_bytes(x[r] + 2 * pair);
                multiply_add_words(both[0], inputs, out[r].low);
                multiply_add_words(both[1], inputs, out[r].high);
            }
        }
    }

  private:
    static Ints add(Ints a, Ints b) {
        return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
    }
    template <int R>
    static void clear(Ints* out) {
        for (int r = 0; r < R; ++r) out[r] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    }
    static __m256i four_bytes(const void* p) {
        std::int32_t bytes;
        std::memcpy(&bytes, p, sizeof bytes);
        return _mm256_set1_epi32(bytes);
    }
    // Two instructions that GCC would part: it takes all products first, for which it has not the registers.
    static void multiply_add_words(__m256i weights, __m256i inputs, __m256i& sums) {
        __m256i products;
        asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
            : "+x"(sums), "=&x"(products)
            : "x"(weights), "x"(inputs));
    }
    // Products of bytes, added two by two, go to the 16-bit lanes of `sums`.
    static void multiply_add_bytes(__m256i weights, __m256i inputs, __m256i& sums) {
        __m256i products;
        asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"
            : "+x"(sums), "=&x"(products)
            : "x"(weights), "x"(inputs));
    }
    // A group of weights times 4 inputs.
    static Ints products(const __m256i* group, const std::int8_t* x) {
        const __m256i inputs = four_bytes(x);
        return {_mm256_maddubs_epi16(group[0], inputs), _mm256_maddubs_epi16(group[1], inputs)};
    }
    static void add_products(const __m256i* group, const std::int8_t* x, Ints& sums) {
        const __m256i inputs = four_bytes(x);
        multiply_add_bytes(group[0], inputs, sums.low);
        multiply_add_bytes(group[1], inputs, sums.high);
    }
    // Widens a row's sums to 32 bits and adds the products of its wide parts.
    static void add_wide(const Weights4& weights, const GroupedInputs& x, Ints& sums) {
        const auto group = [&](int i) {
            const char* first = reinterpret_cast<const char*>(weights.groups);
            return reinterpret_cast<const __m256i*>(first + x.places[i]);
        };
        Ints wide = products(group(0), x.wide[0]);
        for (int i = 1; i < kWide; ++i) add_products(group(i), x.wide[i], wide);
        const __m256i one = _mm256_set1_epi16(1), unit = _mm256_set1_epi16(128);
        sums = {_mm256_madd_epi16(sums.low, one), _mm256_madd_epi16(sums.high, one)};
        sums = add(sums, {_mm256_madd_epi16(wide.low, unit), _mm256_madd_epi16(wide.high, unit)});
        asm("" : "+x"(sums.low), "+x"(sums.high));  // GCC would put it off until all rows have theirs
    }
    static __m256 power_of_two(__m256i a) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(a, _mm256_set1_epi32(127)), 23));
    }
    static __m256 eight_sums(const Floats* rows) {
        const __m256 first = four_sums(rows), second = four_sums(rows + 4);
        return _mm256_add_ps(_mm256_permute2f128_ps(first, second, 0x20),
                             _mm256_permute2f128_ps(first, second, 0x31));
    }
    // The sums of 4 rows over each half of the lanes.
    static __m256 four_sums(const Floats* rows) {
        __m256 halves[4];
        for (int i = 0; i < 4; ++i) halves[i] = _mm256_add_ps(rows[i].low, rows[i].high);
        return _mm256_hadd_ps(_mm256_hadd_ps(halves[0], halves[1]), _mm256_hadd_ps(halves[2], halves[3]));
    }
};

}  // namespace
}  // namespace townsfolk
