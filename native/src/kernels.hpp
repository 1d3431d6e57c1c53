// The arithmetic of a decoder, as a table of functions compiled once for each instruction set.
// It knows vectors, tiles and rows; it refuses to know layers, threads and Python.
//
// Every function computes each row on its own, in an order that depends on that row alone: a row's result
// is bit for bit the same whatever else is computed with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace townsfolk {

constexpr int kTile = 16;   // columns of a weight tile, lanes of a vector
constexpr int kBlock = 32;  // inputs that share a weight scale
constexpr int kGroup = 4;   // inputs that one instruction multiplies into a lane

constexpr int kMaxGroup = 64;     // queries that may share a key-value head
constexpr int kMaxHeadDim = 256;  // a multiple of kTile
constexpr int kStretch = 128;     // positions that attention takes at once

using Half = std::uint16_t;  // the bits of an IEEE 16-bit float

// A tile is 16 output columns of a weight matrix; its blocks, 32 inputs each, lie one after the other.
//   4 bits: 16 scales d (Half), 16 minima m (Half), then 8 groups of 4 inputs, 32 bytes each. Byte 4c+i holds
//           (column c, input i) in its low half and (c+8, i) in its high half, with c < 8 and i < 4. The
//           weight is d * q + m, 0 <= q < 16.
//   8 bits: 16 scales d, then 16 pairs of inputs, 32 bytes each: byte 2c+i is (column c, input i). The
//           weight is d * q, -127 <= q <= 127.
enum class Bits : int { kFour = 4, kEight = 8 };

constexpr int header_bytes(Bits bits) { return (bits == Bits::kFour ? 2 : 1) * kTile * 2; }
constexpr int block_bytes(Bits bits) {
    return header_bytes(bits) + kTile * kBlock * static_cast<int>(bits) / 8;
}

constexpr int kMaxPanel = 128;  // rows multiplied with a tile at once, at most

// The input of a linear layer, [rows, 32 * blocks], rounded for weights of some bits. How its bytes lie is
// the business of the table that rounded it.
struct Panel {
    std::byte* bytes;  // 64 divides the address
    Bits bits;
    int rows;  // at most the table's own
    int blocks;
};

// Keys and values of one key-value head, [slots, head_dim] each: 16-bit floats, or 8-bit integers that want
// to be multiplied by a scale for each tile of a vector [slots, head_dim / kTile].
struct KvHead {
    const void* keys;
    const void* values;
    const Half* key_scales;  // null: 16-bit floats
    const Half* value_scales;
};

// What a query has seen so far: its highest score, and the sum of e to the power of each score less that.
struct AttentionSum {
    float most;
    float total;
};

// Queries of consecutive tokens of a sequence that read the same key-value head. The results are arrays of
// all query heads [tokens, heads, ...] from this key-value head's first on.
struct AttentionHead {
    const float* queries;      // [tokens, group, head_dim], turned and scaled
    std::size_t query_stride;  // from a token's first query to the next one's
    int tokens;
    int heads;
    int group;
    int head_dim;
    KvHead past;
    const std::int32_t* slots;  // in the order of positions
    int length;                 // positions that the first token sees; each further one sees one more
    AttentionSum* sums;         // [tokens, heads]
    float* mixed;               // [tokens, heads, head_dim] values, weighted but not yet divided by the total
};

// Rows of numbers that are `stride` apart.
template <class Number>
struct Rows {
    Number* first;
    std::size_t stride;

    Number* row(int index) const { return first + index * stride; }
};

struct Kernels {
    const char* name;
    int panel_rows;  // that it likes best; at most kMaxPanel
    // out = x / rms(x) * weight; `out` may be `x`.
    void (*normalize)(const float* x, const float* weight, float epsilon, int width, float* out);
    // Bytes of a panel, a multiple of 64.
    std::size_t (*panel_bytes)(Bits bits, int rows, int blocks);
    // Rounds a row of the panel.
    void (*round)(const float* x, const Panel& panel, int row);
    // out = silu(gate) * up; `out` may be `gate`.
    void (*gate)(const float* gate, const float* up, int width, float* out);
    // Turns the pairs (i, i + half) of a head by the angles whose cosines and sines are given [half].
    void (*rotate)(float* head, const float* cosines, const float* sines, int half, float scale);
    void (*to_half)(const float* x, int width, Half* out);
    // x = scale * out, as nearly as can be, with a scale for each tile [width / kTile].
    void (*to_bytes)(const float* x, int width, std::int8_t* out, Half* scales);
    // Multiplies a head by a Hadamard matrix: what is large somewhere spreads over all elements, and products
    // of two heads stay.
    void (*spread)(float* head, int size);
    // out [count, kTile] = rows * tile, rows from `first` on.
    void (*multiply)(const std::uint8_t* tile, const Panel& panel, int first, int count, float* out);
    // lanes[row][0 .. rank) = scaling * down * x[row], down [rank, width]
    void (*project_down)(const Half* down, int rank, int width, float scaling, const float* const* x,
                         int count, float* const* lanes);
    // out [count, tiles * kTile] += lanes * up, up [tiles, rank, kTile], lanes [count, rank].
    void (*project_up)(const Half* up, int tiles, int rank, Rows<const float> lanes, int count,
                       Rows<float> out);
    // A tile's sums [count, kTile] become, or are added to, columns of rows that are `stride` apart.
    void (*put)(const float* sums, int count, float* out, std::size_t stride);
    void (*add)(const float* sums, int count, float* out, std::size_t stride);
    // Attends to the positions from `first`, a multiple of kStretch, to `last`.
    void (*attend)(const AttentionHead& head, int first, int last);
    // Merges what came of a later stretch into what came of those before. Attending to several stretches at
    // once is the same, to the bit, as attending to each and merging them in order.
    void (*merge)(const AttentionSum& later, const float* later_mixed, int head_dim, AttentionSum& sum,
                  float* mixed);
    // Divides by the total.
    void (*settle)(const AttentionSum& sum, int head_dim, float* mixed);
};

// The fastest table that this processor can run, or the one named. Null if there is none of that name here.
const Kernels* find_kernels(const char* name = nullptr);

// Only those that the build has for its target are linked.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* amx_kernels();
const Kernels* neon_kernels();
const Kernels* dotprod_kernels();

}  // namespace townsfolk
