// Vectors of 16 lanes in plain C++: the same on every machine.
#pragma once

#include <bit>
#include <cstring>

#include "half.hpp"
#include "inputs.hpp"

namespace townsfolk {
namespace {

struct Simd {
    static constexpr const char* kName = "portable";
    static constexpr int kRows = 4;
    static constexpr int kQueries = 3;

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

    static void store(std::int8_t* p, const Ints& a, const Ints& b) {
        for (int i = 0; i < kTile; ++i) p[i] = narrowed(a.lane[i]), p[kTile + i] = narrowed(b.lane[i]);
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

    static void group_peaks(const float* x, float* out) {
        for (int group = 0; group < kBlock / kGroup; ++group) {
            out[group] = 0;
            for (int i = 0; i < kGroup; ++i) {
                const float value = x[group * kGroup + i], magnitude = value < 0 ? -value : value;
                out[group] = magnitude > out[group] ? magnitude : out[group];
            }
        }
    }

    struct Weights4 {
        std::uint8_t inputs[kBlock][kTile];
    };
    static void unpack(const std::uint8_t* packed, Weights4& out) {
        for (int i = 0; i < kBlock; ++i) {
            for (int c = 0; c < kTile / 2; ++c) {
                const int byte = packed[i / kGroup * 2 * kTile + c * kGroup + i % kGroup];
                out.inputs[i][c] = static_cast<std::uint8_t>(byte & 15);
                out.inputs[i][c + kTile / 2] = static_cast<std::uint8_t>(byte >> 4);
            }
        }
    }
    template <int R>
    static void dot(const Weights4& weights, const GroupedInputs* x, Ints* out) {
        for (int r = 0; r < R; ++r) {
            std::int32_t inputs[kBlock];
            for (int i = 0; i < kBlock; ++i) inputs[i] = x[r].quants[i];
            for (int i = 0; i < kWide; ++i) {
                std::int32_t* own = inputs + x[r].places[i] / kGroupBytes * kGroup;
                for (int j = 0; j < kGroup; ++j) own[j] += 128 * x[r].wide[i][j];
            }
            out[r] = {};
            for (int i = 0; i < kBlock; ++i) {
                for (int c = 0; c < kTile; ++c) out[r].lane[c] += weights.inputs[i][c] * inputs[i];
            }
        }
    }

    struct Weights8 {
        std::int8_t inputs[kBlock][kTile];
    };
    static void unpack(const std::uint8_t* packed, Weights8& out) {
        for (int i = 0; i < kBlock * kTile; ++i) {
            const int pair = i / (2 * kTile), column = i / 2 % kTile;
            out.inputs[2 * pair + i % 2][column] = static_cast<std::int8_t>(packed[i]);
        }
    }
    template <int R>
    static void dot(const Weights8& weights, const std::int16_t* const* x, Ints* out) {
        for (int r = 0; r < R; ++r) {
            out[r] = {};
            for (int i = 0; i < kBlock; ++i) {
                for (int c = 0; c < kTile; ++c) out[r].lane[c] += weights.inputs[i][c] * x[r][i];
            }
        }
    }

  private:
    static std::int8_t narrowed(std::int32_t lane) {
        return static_cast<std::int8_t>(lane < -128 ? -128 : lane > 127 ? 127 : lane);
    }
};

}  // namespace
}  // namespace townsfolk
