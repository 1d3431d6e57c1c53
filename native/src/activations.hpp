// The input of a linear layer: rounded as the layer's weights want it, then multiplied with their tiles.
// It knows how rounded rows lie in memory; it refuses to know layers, adapters and threads.
#pragma once

#include <vector>

#include "kernels.hpp"
#include "weights.hpp"

namespace townsfolk {

constexpr int kPanel = 32;  // rows multiplied with a tile at once: their sums stay in the first-level cache

class Activations {
  public:
    // Forgets what it held. Rows up to `rows`, of any matrix not wider than `most_width`.
    void reserve(int rows, int most_width);

    // For the next matrix. Rows may be rounded by several threads at once.
    void round(const Kernels& kernels, const PackedMatrix& matrix, int row, const float* x);

    // out [count, kTile] = rows * tile; rows from `first` on, all of one panel.
    void multiply(const Kernels& kernels, const PackedMatrix& matrix, int tile, int first, int count,
                  float* out) const;

  private:
    // A panel lies block after block, a block row after row: read from front to end for every tile.
    int panel_rows(int row) const;
    std::size_t block_at(int row, int blocks) const;

    int rows_ = 0;
    std::vector<InputBlock> blocks_;    // for 4-bit weights: [panels, blocks, rows of the panel]
    std::vector<std::int16_t> quants_;  // for 8-bit weights: [rows, most_width]
    std::vector<float> scales_;         // [rows]
    std::vector<InputRow> row_views_;   // [rows], into the two above
};

}  // namespace townsfolk
