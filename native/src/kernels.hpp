// The arithmetic of a decoder, as a table of functions compiled once for each instruction set.
// It knows vectors, tiles and rows; it refuses to know layers, threads and Python.
//
// Every function computes each row on its own, in an order that depends on that row alone: a row's result
// is bit for bit the same whatever else is computed with it.
#pragma once

#include <cstdint>

namespace townsfolk {

constexpr int kTile = 16;   // columns of a weight tile, lanes of a vector
constexpr int kBlock = 32;  // inputs that share a weight scale

constexpr int kMaxGroup = 64;  // queries that may share a key-value head

using Half = std::uint16_t;  // the bits of an IEEE 16-bit float

// A tile is 16 output columns of a weight matrix; its blocks, 32 inputs each, lie one after the other:
//   16 scales d (Half), 16 minima m (Half), then the integers q; the weight is d * q + m.
//   4 bits: 8 groups of 4 inputs, 16 words of 16 bits each. Word 2c+p holds, from its low bits up,
//           (column c, input p), (c+8, p), (c, p+2), (c+8, p+2), with c < 8 and p < 2; 0 <= q < 16.
//   8 bits: 16 pairs of inputs, 32 bytes each: byte 2c+p is column c, input p; -127 <= q <= 127.
enum class Bits : int { kFour = 4, kEight = 8 };

constexpr int block_bytes(Bits bits) { return 2 * kTile * 2 + kTile * kBlock * static_cast<int>(bits) / 8; }

// A row of activations in 16 bits: x = scale * quants.
struct QuantRow {
    std::int16_t* quants;  // [width]
    float* sums;           // [width / kBlock]: of each block's quants
    float* scale;          // [1]
};

// Queries of one token that read the same key-value head, and where that head's past is.
struct AttentionHead {
    const float* queries;  // [group, head_dim], turned and scaled
    int group;
    int head_dim;
    const Half* cache;          // [slots, 2, head_dim]: a token's key, then its value
    const std::int32_t* slots;  // [length], in the order of positions
    int length;
    float* scratch;  // [2 * kTile, head_dim]
    float* mixed;    // [group, head_dim], the result
};

struct Kernels {
    const char* name;
    // out = x / rms(x) * weight
    void (*normalize)(const float* x, const float* weight, float epsilon, int width, float* out);
    void (*quantize)(const float* x, int width, QuantRow out);
    // out = silu(gate) * up; `out` may be `gate`.
    void (*gate)(const float* gate, const float* up, int width, float* out);
    // Turns the pairs (i, i + half) of a head by the angles whose cosines and sines are given [half].
    void (*rotate)(float* head, const float* cosines, const float* sines, int half, float scale);
    void (*to_half)(const float* x, int width, Half* out);
    // out [count, kTile] = rows * tile
    void (*multiply)(const std::uint8_t* tile, Bits bits, int blocks, const QuantRow* rows, int count,
                     float* out);
    // lanes[row][0 .. rank) = scaling * down * x[row], down [rank, width]
    void (*project_down)(const Half* down, int rank, int width, float scaling, const float* const* x,
                         int count, float* const* lanes);
    // out [kTile] += lanes * up, up [rank, kTile]
    void (*project_up)(const Half* up, int rank, const float* lanes, float* out);
    void (*attend)(const AttentionHead& head);
};

// The fastest table that this processor can run, or the one named. Null if there is none of that name here.
const Kernels* find_kernels(const char* name = nullptr);

// Only those that the build has for its target are linked.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* neon_kernels();

}  // namespace townsfolk
