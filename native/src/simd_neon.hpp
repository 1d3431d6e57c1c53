// Vectors of 16 lanes for NEON: four registers each. TOWNSFOLK_KERNELS_NAME is set by the file that includes
// this: what the compiler takes for granted does not tell the tables apart, since it may be the same for
// both.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "inputs.hpp"

namespace townsfolk {
namespace {

struct Simd {
    static constexpr const char* kName = TOWNSFOLK_KERNELS_NAME;
    static constexpr int kRows = 2;
    static constexpr int kQueries = 3;

    struct Floats {
        float32x4_t part[4];
    };
    struct Ints {
        int32x4_t part[4];
    };

    template <class Part>
    static Floats each(Part part) {
        return {{part(0), part(1), part(2), part(3)}};
    }

    static Floats fill(float x) {
        return each([=](int) { return vdupq_n_f32(x); });
    }
    static Floats load(const float* p) {
        return each([=](int i) { return vld1q_f32(p + 4 * i); });
    }
    static Floats load(const Half* p) {
        return each([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
    }
    static Floats load(const std::int8_t* p) {
        const int8x16_t bytes = vld1q_s8(p);
        const int16x8_t words[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)};
        return each([&](int i) {
            const int16x8_t own = words[i / 2];
            return vcvtq_f32_s32(i % 2 ? vmovl_high_s16(own) : vmovl_s16(vget_low_s16(own)));
        });
    }
    static void store(float* p, const Floats& a) {
        for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.part[i]);
    }
    static void store(Half* p, const Floats& a) {
        for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.part[i])));
    }
    static void store(std::int16_t* p, const Ints& a) {
        for (int i = 0; i < 4; ++i) vst1_s16(p + 4 * i, vmovn_s32(a.part[i]));
    }

    static void store(std::int8_t* p, const Ints& a, const Ints& b) {
        for (int i = 0; i < 4; i += 2) {
            vst1_s8(p + 4 * i, vqmovn_s16(vcombine_s16(vqmovn_s32(a.part[i]), vqmovn_s32(a.part[i + 1]))));
            vst1_s8(p + kTile + 4 * i,
                    vqmovn_s16(vcombine_s16(vqmovn_s32(b.part[i]), vqmovn_s32(b.part[i + 1]))));
        }
    }

    static Floats add(const Floats& a, const Floats& b) {
        return each([&](int i) { return vaddq_f32(a.part[i], b.part[i]); });
    }
    static Floats subtract(const Floats& a, const Floats& b) {
        return each([&](int i) { return vsubq_f32(a.part[i], b.part[i]); });
    }
    static Floats multiply(const Floats& a, const Floats& b) {
        return each([&](int i) { return vmulq_f32(a.part[i], b.part[i]); });
    }
    static Floats divide(const Floats& a, const Floats& b) {
        return each([&](int i) { return vdivq_f32(a.part[i], b.part[i]); });
    }
    static Floats larger(const Floats& a, const Floats& b) {
        return each([&](int i) { return vmaxq_f32(a.part[i], b.part[i]); });
    }
    static Floats smaller(const Floats& a, const Floats& b) {
        return each([&](int i) { return vminq_f32(a.part[i], b.part[i]); });
    }
    static Floats fused(const Floats& a, const Floats& b, const Floats& c) {
        return each([&](int i) { return vfmaq_f32(c.part[i], a.part[i], b.part[i]); });
    }

    static Ints round(const Floats& a) {
        Ints out;
        for (int i = 0; i < 4; ++i) out.part[i] = vcvtnq_s32_f32(a.part[i]);
        return out;
    }
    static Floats to_floats(const Ints& a) {
        return each([&](int i) { return vcvtq_f32_s32(a.part[i]); });
    }
    static Floats power_of_two(const Ints& a) {
        return each([&](int i) {
            return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(a.part[i], vdupq_n_s32(127)), 23));
        });
    }

    static float sum(const Floats& a) {
        return vaddvq_f32(vaddq_f32(vaddq_f32(a.part[0], a.part[1]), vaddq_f32(a.part[2], a.part[3])));
    }
    static float largest(const Floats& a) {
        return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.part[0], a.part[1]), vmaxq_f32(a.part[2], a.part[3])));
    }
    static Floats sums(const Floats* rows) {
        float lanes[kTile];
        for (int i = 0; i < kTile; ++i) lanes[i] = sum(rows[i]);
        return load(lanes);
    }

    static void group_peaks(const float* x, float* out) {
        for (int i = 0; i < kBlock / 4; ++i) out[i] = vmaxvq_f32(vabsq_f32(vld1q_f32(x + 4 * i)));
    }

    // 4 bits: the four registers of a group hold 4 columns, 4 inputs each.
    struct Weights4 {
        int8x16_t groups[kBlock / 4][4];
    };
    static void unpack(const std::uint8_t* packed, Weights4& out) {
        for (int i = 0; i < kBlock / 2; ++i) {
            const uint8x16_t bytes = vld1q_u8(packed + 16 * i);
            int8x16_t* group = out.groups[i / 2];
            group[i % 2] = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
            group[i % 2 + 2] = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
        }
    }
    template <int R>
    static void dot(const Weights4& weights, const GroupedInputs* x, Ints* out) {
        for (int r = 0; r < R; ++r) {
            Ints wide = {};
            for (int i = 0; i < kWide; ++i) {
                add_products(weights.groups[x[r].places[i] / kGroupBytes], x[r].wide[i], wide);
            }
            for (int i = 0; i < 4; ++i) out[r].part[i] = vshlq_n_s32(wide.part[i], 7);
        }
        for (int group = 0; group < kBlock / 4; ++group) {
            for (int r = 0; r < R; ++r) add_products(weights.groups[group], x[r].quants + 4 * group, out[r]);
        }
    }

    // 8 bits: the four registers of a pair of inputs hold 4 columns each.
    struct Weights8 {
        int16x8_t pairs[kBlock / 2][4];
    };
    static void unpack(const std::uint8_t* packed, Weights8& out) {
        for (int i = 0; i < kBlock * 2; ++i) {
            out.pairs[i / 4][i % 4] = vmovl_s8(vreinterpret_s8_u8(vld1_u8(packed + 8 * i)));
        }
    }
    template <int R>
    static void dot(const Weights8& weights, const std::int16_t* const* x, Ints* out) {
        int32x4x2_t sums[R][4] = {};  // over the even and over the odd inputs, apart
        for (int pair = 0; pair < kBlock / 2; ++pair) {
            for (int r = 0; r < R; ++r) {
                std::int32_t two;
                std::memcpy(&two, x[r] + 2 * pair, sizeof two);
                const int16x8_t inputs = vreinterpretq_s16_s32(vdupq_n_s32(two));
                for (int i = 0; i < 4; ++i) {
                    const int16x8_t own = weights.pairs[pair][i];
                    int32x4x2_t& sum = sums[r][i];
                    sum.val[0] = vmlal_s16(sum.val[0], vget_low_s16(own), vget_low_s16(inputs));
                    sum.val[1] = vmlal_high_s16(sum.val[1], own, inputs);
                }
            }
        }
        for (int r = 0; r < R; ++r) {
            for (int i = 0; i < 4; ++i) out[r].part[i] = vpaddq_s32(sums[r][i].val[0], sums[r][i].val[1]);
        }
    }

  private:
    // Adds the products with the 4 inputs `x`.
    static void add_products(const int8x16_t* group, const std::int8_t* x, Ints& sums) {
        std::int32_t four;
        std::memcpy(&four, x, sizeof four);
        const int8x16_t inputs = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (int i = 0; i < 4; ++i) sums.part[i] = add_products(group[i], inputs, sums.part[i]);
    }
#if defined(__ARM_FEATURE_DOTPROD)
    static int32x4_t add_products(int8x16_t weights, int8x16_t inputs, int32x4_t sums) {
        return vdotq_s32(sums, weights, inputs);
    }
#else
    static int32x4_t add_products(int8x16_t weights, int8x16_t inputs, int32x4_t sums) {
        const int16x8_t first = vmull_s8(vget_low_s8(weights), vget_low_s8(inputs));
        return vpadalq_s16(sums, vpaddq_s16(first, vmull_high_s8(weights, inputs)));
    }
#endif
};

}  // namespace
}  // namespace townsfolk
