// Layouts after ggml-common.h and ggml-quants.c of https://github.com/ggml-org/ggml.
#include "gguf_blocks.hpp"

#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

#include "half.hpp"

namespace townsfolk {
namespace {

constexpr int kSuperBlock = 256;  // inputs that share the scale of their scales in the K types
constexpr int kSubBlocks = kSuperBlock / kBlock;

struct Layout {
    int inputs, bytes;  // of a block in the file
};

Layout layout_of(GgufType type) {
    switch (type) {
        case GgufType::kF32:
            return {1, 4};
        case GgufType::kF16:
        case GgufType::kBF16:
            return {1, 2};
        case GgufType::kQ4_0:
            return {kBlock, 18};
        case GgufType::kQ4_1:
            return {kBlock, 20};
        case GgufType::kQ5_0:
            return {kBlock, 22};
        case GgufType::kQ5_1:
            return {kBlock, 24};
        case GgufType::kQ8_0:
            return {kBlock, 34};
        case GgufType::kQ4_K:
            return {kSuperBlock, 144};
        case GgufType::kQ5_K:
            return {kSuperBlock, 176};
        case GgufType::kQ6_K:
            return {kSuperBlock, 210};
    }
    throw std::invalid_argument("a weight has the unknown type " + std::to_string(static_cast<int>(type)));
}

template <class Value>
Value load(const std::uint8_t* bytes) {
    Value value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

float load_half(const std::uint8_t* bytes) { return from_half(load<std::uint16_t>(bytes)); }

// The low halves of 16 bytes, then the high ones.
void split_halves(const std::uint8_t* bytes, std::int8_t* q) {
    for (int i = 0; i < kBlock / 2; ++i) {
        q[i] = static_cast<std::int8_t>(bytes[i] & 15);
        q[i + kBlock / 2] = static_cast<std::int8_t>(bytes[i] >> 4);
    }
}

// Adds a fifth bit to each q, that of input i in bit i.
void add_fifth_bits(std::uint32_t bits, std::int8_t* q) {
    for (int i = 0; i < kBlock; ++i) q[i] = static_cast<std::int8_t>(q[i] | (bits >> i & 1) << 4);
}

QuantBlock read_q4_0(const std::uint8_t* bytes) {
    QuantBlock out{load_half(bytes), 0, {}};
    out.minimum = -8 * out.scale;
    split_halves(bytes + 2, out.q);
    return out;
}

QuantBlock read_q4_1(const std::uint8_t* bytes) {
    QuantBlock out{load_half(bytes), load_half(bytes + 2), {}};
    split_halves(bytes + 4, out.q);
    return out;
}

QuantBlock read_q5_0(const std::uint8_t* bytes) {
    QuantBlock out{load_half(bytes), 0, {}};
    out.minimum = -16 * out.scale;
    split_halves(bytes + 6, out.q);
    add_fifth_bits(load<std::uint32_t>(bytes + 2), out.q);
    return out;
}

QuantBlock read_q5_1(const std::uint8_t* bytes) {
    QuantBlock out{load_half(bytes), load_half(bytes + 2), {}};
    split_halves(bytes + 8, out.q);
    add_fifth_bits(load<std::uint32_t>(bytes + 4), out.q);
    return out;
}

// A super-block starts with the scale of its scales, that of its minima, and 8 of each in 6 bits.
void read_super_scales(const std::uint8_t* bytes, int sub, QuantBlock& out) {
    const std::uint8_t* packed = bytes + 4;
    int scale, minimum;
    if (sub < 4) {
        scale = packed[sub] & 63;
        minimum = packed[sub + 4] & 63;
    } else {
        scale = (packed[sub + 4] & 15) | packed[sub - 4] >> 6 << 4;
        minimum = packed[sub + 4] >> 4 | packed[sub] >> 6 << 4;
    }
    out.scale = load_half(bytes) * static_cast<float>(scale);
    out.minimum = -load_half(bytes + 2) * static_cast<float>(minimum);
}

// Two sub-blocks share 32 bytes: the even one has the low halves.
void read_super_halves(const std::uint8_t* bytes, int sub, std::int8_t* q) {
    const std::uint8_t* own = bytes + sub / 2 * kBlock;
    for (int i = 0; i < kBlock; ++i) q[i] = static_cast<std::int8_t>(own[i] >> sub % 2 * 4 & 15);
}

QuantBlock read_q4_k(const std::uint8_t* bytes, int sub) {
    QuantBlock out;
    read_super_scales(bytes, sub, out);
    read_super_halves(bytes + 16, sub, out.q);
    return out;
}

QuantBlock read_q5_k(const std::uint8_t* bytes, int sub) {
    QuantBlock out;
    read_super_scales(bytes, sub, out);
    read_super_halves(bytes + 48, sub, out.q);
    const std::uint8_t* fifth = bytes + 16;
    for (int i = 0; i < kBlock; ++i)
        out.q[i] = static_cast<std::int8_t>(out.q[i] | (fifth[i] >> sub & 1) << 4);
    return out;
}

// Low 4 bits, then high 2 bits, then a scale for each 16 inputs, then the scale of the scales.
void read_q6_k(const std::uint8_t* bytes, int sub, float* values) {
    const int half = sub / 4, quarter = sub % 4;
    const std::uint8_t* low = bytes + half * 64 + quarter % 2 * kBlock;
    const std::uint8_t* high = bytes + 128 + half * kBlock;
    const std::uint8_t* scales = bytes + 192 + 2 * sub;
    const float scale = load_half(bytes + 208);
    for (int i = 0; i < kBlock; ++i) {
        const int q = (low[i] >> quarter / 2 * 4 & 15) | (high[i] >> 2 * quarter & 3) << 4;
        values[i] =
            scale * static_cast<float>(static_cast<std::int8_t>(scales[i / 16])) * static_cast<float>(q - 32);
    }
}

void read_q8_0(const std::uint8_t* bytes, float* values) {
    const float scale = load_half(bytes);
    for (int i = 0; i < kBlock; ++i) {
        values[i] = scale * static_cast<float>(static_cast<std::int8_t>(bytes[2 + i]));
    }
}

void read_plain(GgufType type, const std::uint8_t* bytes, float* values) {
    for (int i = 0; i < kBlock; ++i) {
        if (type == GgufType::kF32) {
            values[i] = load<float>(bytes + 4 * i);
        } else if (type == GgufType::kF16) {
            values[i] = load_half(bytes + 2 * i);
        } else {  // the upper half of a 32-bit float
            values[i] = std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(bytes + 2 * i)} << 16);
        }
    }
}

// The file's block that holds inputs 32 * block and on.
const std::uint8_t* at_block(GgufType type, const std::uint8_t* row, int block) {
    const Layout layout = layout_of(type);
    return row + static_cast<std::size_t>(block) * kBlock / layout.inputs * layout.bytes;
}

// For the types that have a minimum or few bits.
QuantBlock read_quants(GgufType type, const std::uint8_t* bytes, int sub) {
    switch (type) {
        case GgufType::kQ4_0:
            return read_q4_0(bytes);
        case GgufType::kQ4_1:
            return read_q4_1(bytes);
        case GgufType::kQ5_0:
            return read_q5_0(bytes);
        case GgufType::kQ5_1:
            return read_q5_1(bytes);
        case GgufType::kQ4_K:
            return read_q4_k(bytes, sub);
        default:
            return read_q5_k(bytes, sub);
    }
}

}  // namespace

std::size_t row_bytes(GgufType type, int width) {
    const Layout layout = layout_of(type);
    if (width <= 0 || width % kBlock != 0 || width % layout.inputs != 0) {
        throw std::invalid_argument("width " + std::to_string(width) + " must be a multiple of " +
                                    std::to_string(layout.inputs > kBlock ? layout.inputs : kBlock));
    }
    return static_cast<std::size_t>(width) / layout.inputs * layout.bytes;
}

bool has_four_bits(GgufType type) {
    return type == GgufType::kQ4_0 || type == GgufType::kQ4_1 || type == GgufType::kQ4_K;
}

QuantBlock read_four_bits(GgufType type, const std::uint8_t* row, int block) {
    return read_quants(type, at_block(type, row, block), block % kSubBlocks);
}

void read_floats(GgufType type, const std::uint8_t* row, int block, float* values) {
    const std::uint8_t* bytes = at_block(type, row, block);
    switch (type) {
        case GgufType::kF32:
        case GgufType::kF16:
        case GgufType::kBF16:
            return read_plain(type, bytes, values);
        case GgufType::kQ8_0:
            return read_q8_0(bytes, values);
        case GgufType::kQ6_K:
            return read_q6_k(bytes, block % kSubBlocks, values);
        default:
            break;
    }
    const QuantBlock own = read_quants(type, bytes, block % kSubBlocks);
    for (int i = 0; i < kBlock; ++i) values[i] = own.scale * static_cast<float>(own.q[i]) + own.minimum;
}

}  // namespace townsfolk
