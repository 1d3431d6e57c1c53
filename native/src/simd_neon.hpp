// Vectors of 16 lanes for NEON: four registers each.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "kernels.hpp"

namespace townsfolk {
namespace {

struct Simd {
    static constexpr const char* kName = "neon";
    static constexpr int kRows = 2;

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
    static Ints add(const Ints& a, const Ints& b) {
        Ints out;
        for (int i = 0; i < 4; ++i) out.part[i] = vaddq_s32(a.part[i], b.part[i]);
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

    template <int R>
    static void dot4(const std::uint8_t* packed, const std::int16_t* const* x, Ints* out) {
        const uint16x8_t nibble = vdupq_n_u16(15);
        Sums<R> sums;
        for (int group = 0; group < kBlock / 4; ++group) {
            for (int half = 0; half < 2; ++half) {  // columns 0 to 3 and 8 to 11, then the others
                const uint16x8_t words = vreinterpretq_u16_u8(vld1q_u8(packed + 32 * group + 16 * half));
                const int at = 4 * group;
                sums.accumulate(vandq_u16(words, nibble), x, at, half);
                sums.accumulate(vandq_u16(vshrq_n_u16(words, 4), nibble), x, at, half + 2);
                sums.accumulate(vandq_u16(vshrq_n_u16(words, 8), nibble), x, at + 2, half);
                sums.accumulate(vshrq_n_u16(words, 12), x, at + 2, half + 2);
            }
        }
        sums.finish(out);
    }
    template <int R>
    static void dot8(const std::uint8_t* packed, const std::int16_t* const* x, Ints* out) {
        Sums<R> sums;
        for (int pair = 0; pair < kBlock / 2; ++pair) {
            for (int part = 0; part < 4; ++part) {
                const int8x8_t bytes = vreinterpret_s8_u8(vld1_u8(packed + 32 * pair + 8 * part));
                sums.accumulate(vreinterpretq_u16_s16(vmovl_s8(bytes)), x, 2 * pair, part);
            }
        }
        sums.finish(out);
    }

  private:
    // Sums over the even and over the odd inputs, apart: 4 columns a part.
    template <int R>
    struct Sums {
        int32x4x2_t part[R][4] = {};

        void accumulate(uint16x8_t weights, const std::int16_t* const* x, int at, int index) {
            const int16x8_t w = vreinterpretq_s16_u16(weights);
            for (int r = 0; r < R; ++r) {
                std::int32_t two;
                std::memcpy(&two, x[r] + at, sizeof two);
                const int16x8_t inputs = vreinterpretq_s16_s32(vdupq_n_s32(two));
                int32x4x2_t& sum = part[r][index];
                sum.val[0] = vmlal_s16(sum.val[0], vget_low_s16(w), vget_low_s16(inputs));
                sum.val[1] = vmlal_high_s16(sum.val[1], w, inputs);
            }
        }
        void finish(Ints* out) const {
            for (int r = 0; r < R; ++r) {
                for (int i = 0; i < 4; ++i) {
                    out[r].part[i] = vpaddq_s32(part[r][i].val[0], part[r][i].val[1]);
                }
            }
        }
    };
};

}  // namespace
}  // namespace townsfolk
