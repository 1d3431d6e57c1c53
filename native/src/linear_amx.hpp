// Products of panels with weights by AMX: a tile register holds 16 rows of 64 bytes, and one instruction
// multiplies the bytes of two of them, four by four, to 16 x 16 sums of 32 bits. The integers are the same as
// without it, and so are the floats made of them; a few rows, for which a tile register is too large, are
// left to those.
#pragma once

#include <utility>

#include "linear_planes.hpp"
#include "linear_rows.hpp"

namespace townsfolk {
namespace {

constexpr int kFewestRows = 4;
// What was just written can't be read by a tile register, nor by others what that one just wrote, without a
// wait. So blocks are unpacked some at a time, and multiplied some before their sums are taken up.
constexpr int kUnpackedTogether = 6;
constexpr int kMultipliedAhead = 3;

struct alignas(64) TileBytes {
    std::uint8_t rows[kTile][64];
};
struct alignas(64) TileSums {
    std::int32_t rows[kTile][kTile];

    Simd::Ints row(int index) const { return _mm512_load_si512(rows[index]); }
};

// All tile registers in use as 16 rows of 64 bytes. Others may use them on this thread between two calls, so
// it looks, which costs an eighth of setting them up.
void set_tiles_up() {
    // Palette 1; bytes of a row from the 17th byte on, 16 bits each; rows from the 49th.
    alignas(64) static constexpr std::uint8_t kWanted[64] = {
        1,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0, 0, 0, 0, 0, 0,  //
        64, 0,  64, 0,  64, 0, 64, 0, 64, 0, 0, 0, 0, 0, 0, 0,  //
        0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0, 0, 0, 0, 0, 0,  //
        16, 16, 16, 16, 16,
    };
    alignas(64) std::uint8_t now[64];
    asm volatile("sttilecfg %0" : "=m"(now));
    if (_mm512_cmpneq_epi64_mask(_mm512_load_si512(now), _mm512_load_si512(kWanted))) {
        asm volatile("ldtilecfg %0" : : "m"(kWanted));
    }
}

// Where a panel's integers are: those of a block's row, and how far it is to the next row and block.
struct Inputs {
    const std::byte* bytes;
    std::ptrdiff_t row_stride, block_stride;

    const std::byte* block(int index) const { return bytes + index * block_stride; }
};

// 4 bits: weights as they are in the upper half of a tile register, 16 times as large in the lower.
struct FourBitTiles : FourBitPlanes {
    static constexpr Bits kBits = Bits::kFour;

    struct Weights {
        TileBytes bytes;
        float scales[kTile], minima[kTile];
    };
    static void unpack(const std::uint8_t* packed, Weights& out) {
        constexpr int groups = kBlock / kGroup;
        const Half* header = reinterpret_cast<const Half*>(packed);
        Simd::store(out.scales, Simd::load(header));
        Simd::store(out.minima, Simd::load(header + kTile));
        for (int group = 0; group < groups; ++group) {
            const __m512i own = Simd::unpack_group(packed + header_bytes(kBits), group);
            _mm512_store_si512(out.bytes.rows[group], own);
            _mm512_store_si512(out.bytes.rows[groups + group], _mm512_slli_epi16(own, 4));
        }
    }

    static constexpr std::ptrdiff_t row_stride(int) { return sizeof(InputPlanes); }
    static Inputs inputs(const Panel& panel, int at, int row) {
        const std::ptrdiff_t blocks = line_stride(panel.rows);
        const InputPlanes* own = planes(panel) + at * blocks + row;
        return {reinterpret_cast<const std::byte*>(own), row_stride(panel.blocks),
                blocks * row_stride(panel.blocks)};
    }

    using Dots = TileSums;
    static void multiply_tiles(const std::byte* x, std::ptrdiff_t stride, const Weights& weights) {
        asm volatile(
            "tileloadd (%0,%1,1), %%tmm1\n\t"
            "tilezero %%tmm0\n\t"
            "tileloadd (%2,%3,1), %%tmm2\n\t"
            "tdpbsud %%tmm2, %%tmm1, %%tmm0"
            :
            : "r"(x), "r"(stride), "r"(&weights.bytes), "r"(std::ptrdiff_t{64})
            : "memory");
    }
    static void store_tiles(Dots& out) {
        asm volatile("tilestored %%tmm0, (%0,%1,1)" : : "r"(&out), "r"(std::ptrdiff_t{64}) : "memory");
    }

    static Floats add(const Dots& dots, const Weights& weights, const Panel& panel, int block, int row,
                      int first, Floats sum) {
        const PlaneScale& scale = scales(panel)[block * line_stride(panel.rows) + first + row];
        return add_products(dots.row(row), scale, Simd::load(weights.scales), Simd::load(weights.minima),
                            sum);
    }
    static void finish(const Panel&, int, int, float*) {}
};

// 8 bits, times integers of 16, whose lower bytes have no sign: weights for those, and for the upper bytes.
struct EightBitTiles : EightBitRows {
    static constexpr Bits kBits = Bits::kEight;

    struct Weights {
        TileBytes lower, upper;
        float scales[kTile];
    };
    static void unpack(const std::uint8_t* packed, Weights& out) {
        Simd::store(out.scales, Simd::load(reinterpret_cast<const Half*>(packed)));
        for (int pair = 0; pair < kBlock / 2; ++pair) {
            const __m512i own = Simd::unpack_pair(packed + header_bytes(kBits), pair);
            _mm512_store_si512(out.lower.rows[pair], _mm512_and_si512(own, _mm512_set1_epi16(0xff)));
            _mm512_store_si512(out.upper.rows[pair], _mm512_slli_epi16(own, 8));
        }
    }

    static constexpr std::ptrdiff_t row_stride(int blocks) { return sizeof(InputLine) * blocks; }
    static Inputs inputs(const Panel& panel, int at, int row) {
        const std::int16_t* own = integers(panel, row) + at * kBlock;
        return {reinterpret_cast<const std::byte*>(own), row_stride(panel.blocks), row_stride(1)};
    }

    struct Dots {
        TileSums lower, upper;
    };
    static void multiply_tiles(const std::byte* x, std::ptrdiff_t stride, const Weights& weights) {
        asm volatile(
            "tileloadd (%0,%1,1), %%tmm1\n\t"
            "tilezero %%tmm0\n\t"
            "tileloadd (%2,%4,1), %%tmm2\n\t"
            "tdpbusd %%tmm2, %%tmm1, %%tmm0\n\t"
            "tilezero %%tmm3\n\t"
            "tileloadd (%3,%4,1), %%tmm4\n\t"
            "tdpbssd %%tmm4, %%tmm1, %%tmm3"
            :
            : "r"(x), "r"(stride), "r"(&weights.lower), "r"(&weights.upper), "r"(std::ptrdiff_t{64})
            : "memory");
    }
    static void store_tiles(Dots& out) {
        asm volatile(
            "tilestored %%tmm0, (%0,%2,1)\n\t"
            "tilestored %%tmm3, (%1,%2,1)"
            :
            : "r"(&out.lower), "r"(&out.upper), "r"(std::ptrdiff_t{64})
            : "memory");
    }

    static Floats add(const Dots& dots, const Weights& weights, const Panel&, int, int row, int, Floats sum) {
        const Simd::Ints dot =
            _mm512_add_epi32(dots.lower.row(row), _mm512_slli_epi32(dots.upper.row(row), 8));
        return Simd::fused(Simd::load(weights.scales), Simd::to_floats(dot), sum);
    }
    static void finish(const Panel& panel, int first, int count, float* out) {
        scale(panel, first, count, out);
    }
};

// Products of panels as one of the two has them.
template <class Form>
struct Tiles {
    using Weights = typename Form::Weights;
    static constexpr int kPanelRows = kMaxPanel;  // unpacking is dear, and sums are in registers

    // A tile register is filled with 16 rows, of which some may be beyond the panel.
    static std::size_t panel_bytes(int rows, int blocks) {
        return Form::panel_bytes(rows, blocks) + kTile * Form::row_stride(blocks);
    }

    static void round(const float* x, const Panel& panel, int row) { Form::round(x, panel, row); }

    static void multiply(const std::uint8_t* tile, const Panel& panel, int first, int count, float* out) {
        if (count < kFewestRows) return Form::multiply(tile, panel, first, count, out);
        set_tiles_up();
        for (int at = 0; at < panel.blocks; at += kUnpackedTogether) {
            add_blocks(tile + at * block_bytes(Form::kBits), panel, at, first, count, out);
        }
        Form::finish(panel, first, count, out);
    }

  private:
    static void add_blocks(const std::uint8_t* packed, const Panel& panel, int at, int first, int count,
                           float* out) {
        const int blocks = panel.blocks - at < kUnpackedTogether ? panel.blocks - at : kUnpackedTogether;
        Weights weights[kUnpackedTogether];
        for (int b = 0; b < blocks; ++b, packed += block_bytes(Form::kBits)) {
            prefetch(packed, Form::kBits);
            Form::unpack(packed, weights[b]);
        }
        for (int row = 0; row < count; row += kTile) {
            const int rows = count - row < kTile ? count - row : kTile;
            kByRows[rows - 1](weights, blocks, panel, at, first + row, out + row * kTile);
        }
    }

    // Adds the products of the rows R from `first` on, whose sums stay in registers, with some blocks.
    template <int... R>
    static void add_rows(std::integer_sequence<int, R...>, const Weights* weights, int blocks,
                         const Panel& panel, int at, int first, float* out) {
        constexpr int kept = kMultipliedAhead + 1;
        typename Form::Dots dots[kept];
        const Inputs x = Form::inputs(panel, at, first);
        const auto multiply_block = [&](int b) {
            if (b < blocks) Form::multiply_tiles(x.block(b), x.row_stride, weights[b]);
        };
        const auto store_block = [&](int b) {
            if (b < blocks) Form::store_tiles(dots[b % kept]);
        };
        for (int b = 0; b < kMultipliedAhead; ++b) multiply_block(b), store_block(b);
        Floats sums[] = {at ? Simd::load(out + R * kTile) : Simd::fill(0)...};
        for (int b = 0; b < blocks; ++b) {
            multiply_block(b + kMultipliedAhead);
            ((sums[R] = Form::add(dots[b % kept], weights[b], panel, at + b, R, first, sums[R])), ...);
            store_block(b + kMultipliedAhead);
        }
        (Simd::store(out + R * kTile, sums[R]), ...);
    }
    template <int R>
    static void add_some(const Weights* weights, int blocks, const Panel& panel, int at, int first,
                         float* out) {
        add_rows(std::make_integer_sequence<int, R>(), weights, blocks, panel, at, first, out);
    }
    static constexpr decltype(&add_some<1>) kByRows[kTile] = {
        add_some<1>,  add_some<2>,  add_some<3>,  add_some<4>,  add_some<5>,  add_some<6>,
        add_some<7>,  add_some<8>,  add_some<9>,  add_some<10>, add_some<11>, add_some<12>,
        add_some<13>, add_some<14>, add_some<15>, add_some<16>,
    };
};

}  // namespace
}  // namespace townsfolk
