// Vectors of 16 lanes in plain C++: the same on every machine.
#pragma once

#include <bit>
#include <cstring>

#include "half.hpp"
#include "kernels.hpp"

namespace townsfolk {
namespace {

struct Simd {
    static constexpr const char* kName = "portable";
    static constexpr int kRows = 4;

    struct Floats {
        float lane[kTile];
    };
    struct Ints {
        std::int32_t lane[kTile];
    };

    template <class Lane>
    static Floats each(Lane lane) {
        Floats out;
        for (int i = 0; i < kTile; ++i) out.lane[i] = lane(i);
        return out;
    }

    static Floats fill(float x) {
        return each([=](int) { return x; });
    }
    static Floats load(const float* p) {
        return each([=](int i) { return p[i]; });
    }
    static Floats load(const Half* p) {
        return each([=](int i) { return from_half(p[i]); });
    }
    static Floats load(const std::int8_t* p) {
        return each([=](int i) { return static_cast<float>(p[i]); });
    }
    static void store(float* p, const Floats& a) { std::memcpy(p, a.lane, sizeof a.lane); }
    static void store(Half* p, const Floats& a) {
        for (int i = 0; i < kTile; ++i) p[i] = to_half(a.lane[i]);
    }
    static void store(std::int16_t* p, const Ints& a) {
        for (int i = 0; i < kTile; ++i) p[i] = static_cast<std::int16_t>(a.lane[i]);
    }

    static Floats add(const Floats& a, const Floats& b) {
        return each([&](int i) { return a.lane[i] + b.lane[i]; });
    }
    static Floats subtract(const Floats& a, const Floats& b) {
        return each([&](int i) { return a.lane[i] - b.lane[i]; });
    }
    static Floats multiply(const Floats& a, const Floats& b) {
        return each([&](int i) { return a.lane[i] * b.lane[i]; });
    }
    static Floats divide(const Floats& a, const Floats& b) {
        return each([&](int i) { return a.lane[i] / b.lane[i]; });
    }
    static Floats larger(const Floats& a, const Floats& b) {
        return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
    }
    static Floats smaller(const Floats& a, const Floats& b) {
        return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
    }
    static Floats fused(const Floats& a, const Floats& b, const Floats& c) {
        return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
    }

    // For |a| < 2^22: adding 1.5 * 2^23 leaves the nearest whole number in the low bits.
    static Ints round(const Floats& a) {
        Ints out;
        for (int i = 0; i < kTile; ++i) {
            out.lane[i] = std::bit_cast<std::int32_t>(a.lane[i] + 0x1.8p23f) - 0x4b400000;
        }
        return out;
    }
    static Ints add(const Ints& a, const Ints& b) {
        Ints out;
        for (int i = 0; i < kTile; ++i) out.lane[i] = a.lane[i] + b.lane[i];
        return out;
    }
    static Floats to_floats(const Ints& a) {
        return each([&](int i) { return static_cast<float>(a.lane[i]); });
    }
    static Floats power_of_two(const Ints& a) {
        return each(
            [&](int i) { return std::bit_cast<float>(static_cast<std::uint32_t>(a.lane[i] + 127) << 23); });
    }

    static float sum(const Floats& a) {
        float out = 0;
        for (const float lane : a.lane) out += lane;
        return out;
    }
    static float largest(const Floats& a) {
        float out = a.lane[0];
        for (const float lane : a.lane) out = lane > out ? lane : out;
        return out;
    }
    static Floats sums(const Floats* rows) {
        return each([=](int i) { return sum(rows[i]); });
    }

    template <int R>
    static void dot4(const std::uint8_t* packed, const std::int16_t* const* x, Ints* out) {
        for (int r = 0; r < R; ++r) out[r] = {};
        for (int group = 0; group < kBlock / 4; ++group) {
            std::uint16_t words[kTile];
            std::memcpy(words, packed + 2 * kTile * group, sizeof words);
            for (int r = 0; r < R; ++r) accumulate(words, x[r] + 4 * group, out[r]);
        }
    }
    template <int R>
    static void dot8(const std::uint8_t* packed, const std::int16_t* const* x, Ints* out) {
        for (int r = 0; r < R; ++r) {
            out[r] = {};
            for (int i = 0; i < kBlock * kTile; ++i) {
                const int pair = i / (2 * kTile), column = i / 2 % kTile, parity = i % 2;
                out[r].lane[column] += static_cast<std::int8_t>(packed[i]) * x[r][2 * pair + parity];
            }
        }
    }

  private:
    // Adds the products of a group of 4 inputs.
    static void accumulate(const std::uint16_t* words, const std::int16_t* x, Ints& out) {
        for (int c = 0; c < kTile / 2; ++c) {
            for (int p = 0; p < 2; ++p) {
                const int word = words[2 * c + p];
                out.lane[c] += (word & 15) * x[p] + (word >> 8 & 15) * x[p + 2];
                out.lane[c + 8] += (word >> 4 & 15) * x[p] + (word >> 12) * x[p + 2];
            }
        }
    }
};

}  // namespace
}  // namespace townsfolk
