#include "activations.hpp"

#include <algorithm>

namespace townsfolk {

void Activations::reserve(const Kernels& kernels, int rows, int most_width) {
    const int panels = (rows + kPanel - 1) / kPanel;
    std::size_t most = 0;
    for (const Bits bits : {Bits::kFour, Bits::kEight}) {
        most = std::max(most, kernels.panel_bytes(bits, kPanel, most_width / kBlock));
    }
    rows_ = rows;
    lines_.resize(panels * most / sizeof(Line));
}

Panel Activations::panel_of(const Kernels& kernels, const PackedMatrix& matrix, int row) const {
    const int index = row / kPanel, blocks = matrix.blocks();
    const std::size_t at = index * kernels.panel_bytes(matrix.bits, kPanel, blocks) / sizeof(Line);
    return {lines_[at].bytes, matrix.bits, std::min(kPanel, rows_ - index * kPanel), blocks};
}

void Activations::round(const Kernels& kernels, const PackedMatrix& matrix, int row, const float* x) {
    kernels.round(x, panel_of(kernels, matrix, row), row % kPanel);
}

void Activations::multiply(const Kernels& kernels, const PackedMatrix& matrix, int tile, int first, int count,
                           float* out) const {
    kernels.multiply(matrix.tile(tile), panel_of(kernels, matrix, first), first % kPanel, count, out);
}

}  // namespace townsfolk
