// Conversion between 16-bit and 32-bit floats without special instructions.
#pragma once

#include <bit>
#include <cstdint>

namespace townsfolk {
namespace {  // compiled anew in each file: the linker must not pick a copy for another instruction set

inline float from_half(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
    const std::uint32_t magnitude = static_cast<std::uint32_t>(half & 0x7fff) << 13;
    // Moving the exponent by multiplication makes subnormal numbers come out right.
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
    const bool special = magnitude >= 0x0f800000;  // infinity or NaN
    const std::uint32_t bits = special ? magnitude | 0x7f800000 : std::bit_cast<std::uint32_t>(scaled);
    return std::bit_cast<float>(sign | bits);
}

// To the nearest, ties to even.
inline std::uint16_t to_half(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000;
    const std::uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return static_cast<std::uint16_t>(sign | 0x7e00);   // NaN
    if (magnitude >= 0x477ff000) return static_cast<std::uint16_t>(sign | 0x7c00);  // infinity
    if (magnitude < 0x38800000) {  // subnormal: adding 0.5 lines the digits up, and rounds
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000));
    }
    const std::uint32_t odd = (magnitude >> 13) & 1;
    return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

}  // namespace
}  // namespace townsfolk
