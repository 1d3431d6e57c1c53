#include "activations.hpp"

#include <algorithm>

namespace townsfolk {

void Activations::reserve(int rows, int most_width) {
    const std::size_t count = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(most_width);
    rows_ = rows;
    blocks_.resize(count * width / kBlock);
    quants_.resize(count * width);
    scales_.resize(count);
    row_views_.resize(count);
    for (std::size_t i = 0; i < count; ++i) row_views_[i] = {&quants_[i * width], &scales_[i]};
}

int Activations::panel_rows(int row) const { return std::min(kPanel, rows_ - row / kPanel * kPanel); }

std::size_t Activations::block_at(int row, int blocks) const {
    return static_cast<std::size_t>(row / kPanel) * kPanel * blocks + row % kPanel;
}

void Activations::round(const Kernels& kernels, const PackedMatrix& matrix, int row, const float* x) {
    if (matrix.bits == Bits::kFour) {
        InputBlock* first = &blocks_[block_at(row, matrix.blocks())];
        kernels.round_blocks(x, matrix.width, first, panel_rows(row));
    } else {
        kernels.round_row(x, matrix.width, row_views_[row]);
    }
}

void Activations::multiply(const Kernels& kernels, const PackedMatrix& matrix, int tile, int first, int count,
                           float* out) const {
    if (matrix.bits == Bits::kFour) {
        const InputBlock* x = &blocks_[block_at(first, matrix.blocks())];
        kernels.multiply4(matrix.tile(tile), matrix.blocks(), x, panel_rows(first), count, out);
    } else {
        kernels.multiply8(matrix.tile(tile), matrix.blocks(), &row_views_[first], count, out);
    }
}

}  // namespace townsfolk
