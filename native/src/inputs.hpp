// Rounded activations, 32 of a row, as products with 4-bit weights take them. Each table has one of the two.
#pragma once

#include <cstdint>

#include "kernels.hpp"

namespace townsfolk {

constexpr int kWide = 4;
constexpr int kGroupBytes = kTile * kGroup;  // that a group's unpacked 4-bit weights take

// x = scale * (quants + 128 * wide). The `kWide` groups with the largest magnitudes alone have a wide part;
// the scale is that of the others, which outliers would else leave without precision. 16-bit sums of their
// products with weights below 16 can't overflow.
struct alignas(64) GroupedInputs {
    std::int8_t quants[kBlock];
    std::int8_t wide[kWide][kGroup];
    std::uint16_t places[kWide];  // where the wide parts' weights are among the unpacked ones, in bytes
    float scale;
    float sum;  // of x
};

// x = scale * (low + 16 * high): 12 bits for all, where an instruction adds products up in 32 bits. 16 times
// a weight of 4 bits is a byte too.
constexpr int kHighUnit = 16;
constexpr float kMostPlanes = 127 * kHighUnit + kHighUnit / 2 - 1;
struct alignas(64) InputPlanes {
    std::int8_t low[kBlock];
    std::int8_t high[kBlock];
};
struct PlaneScale {
    float scale;
    float sum;  // of x
};

}  // namespace townsfolk
