// e to a power, over the `Simd` of the file that includes this.
#pragma once

namespace townsfolk {
namespace {

using Floats = Simd::Floats;

// A polynomial for e to the power of at most ln 2 / 2, the highest power first.
constexpr float kExponential[] = {1.9875691500e-4f,
                                  1.3981999507e-3f,
                                  8.3334519073e-3f,
                                  4.1665795894e-2f,
                                  1.6666665459e-1f,
                                  5.0000001201e-1f,
                                  1.0f,
                                  1.0f};

// e to the power of each lane, within 2 units in the last place; 0 below -88.
inline Floats exponential(Floats x) {
    x = Simd::larger(Simd::smaller(x, Simd::fill(88.0f)), Simd::fill(-88.0f));
    const Simd::Ints n = Simd::round(Simd::multiply(x, Simd::fill(1.44269504f)));
    const Floats whole = Simd::to_floats(n);
    // ln 2 in two parts, so that the difference stays exact.
    Floats rest = Simd::fused(whole, Simd::fill(-0.693359375f), x);
    rest = Simd::fused(whole, Simd::fill(2.12194440e-4f), rest);
    Floats value = Simd::fill(kExponential[0]);
    for (int i = 1; i < 8; ++i) value = Simd::fused(value, rest, Simd::fill(kExponential[i]));
    return Simd::multiply(value, Simd::power_of_two(n));
}

}  // namespace
}  // namespace townsfolk
