#include "activations.hpp"

#include <algorithm>

namespace townsfolk {

void Activations::reserve(const Kernels& kernels, int rows, int most_width) {
    const int panels = (rows + kernels.panel_rows - 1) / kernels.panel_rows;
    std::size_t most = 0;
    for (const Bits bits : {Bits::kFour, Bits::kEight}) {
        most = std::max(most, kernels.panel_bytes(bits, kernels.panel_rows, most_width / kBlock));
    }
    rows_ = rows;
    lines_.resize(panels * most / sizeof(Line));
}

Panel Activations::panel_of(const Kernels& kernels, const PackedMatrix& matrix, int row) const {
    const int most = kernels.panel_rows, index = row / most, blocks = matrix.blocks();
    const std::size_t at = index * kernels.panel_bytes(matrix.bits, most, blocks) / sizeof(Line);
    return {lines_[at].bytes, matrix.bits, std::min(most, rows_ - index * most), blocks};
}

void Activations::round(const Kernels& kernels, const PackedMatrix& matrix, int row, const float* x) {
    kernels.round(x, panel_of(kernels, matrix, row), row % kernels.panel_rows);
}

void Activations::multiply(const Kernels& kernels, const PackedMatrix& matrix, int tile, int first, int count,
                           float* out) const {
    kernels.multiply(matrix.tile(tile), panel_of(kernels, matrix, first), first % kernels.panel_rows, count,
                     out);
}

}  // namespace townsfolk
