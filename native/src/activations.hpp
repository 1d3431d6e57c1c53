// The input of a linear layer: rounded as the layer's weights want it, then multiplied with their tiles.
// It knows panels of rows; it refuses to know how their bytes lie, layers, adapters and threads.
#pragma once

#include <vector>

#include "kernels.hpp"
#include "weights.hpp"

namespace townsfolk {

class Activations {
  public:
    // Forgets what it held. Rows up to `rows`, of any matrix not wider than `most_width`.
    void reserve(const Kernels& kernels, int rows, int most_width);

    // For the next matrix. Rows may be rounded by several threads at once.
    void round(const Kernels& kernels, const PackedMatrix& matrix, int row, const float* x);

    // out [count, kTile] = rows * tile; rows from `first` on, all of one panel.
    void multiply(const Kernels& kernels, const PackedMatrix& matrix, int tile, int first, int count,
                  float* out) const;

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };

    Panel panel_of(const Kernels& kernels, const PackedMatrix& matrix, int row) const;

    int rows_ = 0;
    mutable std::vector<Line> lines_;  // the panels, one after the other
};

}  // namespace townsfolk
