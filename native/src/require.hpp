// How a rule for what a caller hands over is stated.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace townsfolk {

// Throws std::invalid_argument with the rule where it does not hold.
inline void require(bool holds, std::string_view rule) {
    if (!holds) throw std::invalid_argument(std::string(rule));
}

}  // namespace townsfolk
