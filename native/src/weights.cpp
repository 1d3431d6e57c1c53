#include "weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "half.hpp"
#include "require.hpp"

namespace townsfolk {
namespace {

// What the block of a tile begins with: 16 scales, and 16 minima where it has 4 bits.
void write_header(const QuantBlock* lanes, Bits bits, std::uint8_t* block) {
    for (int lane = 0; lane < kTile; ++lane) {
        const Half values[] = {to_half(lanes[lane].scale), to_half(lanes[lane].minimum)};
        const bool finite = (values[0] & 0x7c00) != 0x7c00 && (values[1] & 0x7c00) != 0x7c00;
        require(finite, "a weight is no number, or over 65,504");
        std::memcpy(block + 2 * lane, &values[0], sizeof(Half));
        if (bits == Bits::kFour) std::memcpy(block + 2 * (kTile + lane), &values[1], sizeof(Half));
    }
}

void write_four_bits(const QuantBlock* lanes, std::uint8_t* block) {
    constexpr int kHalf = kTile / 2;
    std::uint8_t* bytes = block + header_bytes(Bits::kFour);
    for (int first = 0; first < kBlock; first += kGroup) {
        for (int column = 0; column < kHalf; ++column) {
            for (int input = first; input < first + kGroup; ++input) {
                const int low = lanes[column].q[input], high = lanes[column + kHalf].q[input];
                *bytes++ = static_cast<std::uint8_t>(low | high << 4);
            }
        }
    }
}

void write_eight_bits(const QuantBlock* lanes, std::uint8_t* block) {
    std::uint8_t* bytes = block + header_bytes(Bits::kEight);
    for (int input = 0; input < kBlock; input += 2) {
        for (int lane = 0; lane < kTile; ++lane) {
            *bytes++ = static_cast<std::uint8_t>(lanes[lane].q[input]);
            *bytes++ = static_cast<std::uint8_t>(lanes[lane].q[input + 1]);
        }
    }
}

// The other way round: a lane of a tile's block.
QuantBlock read_lane(const std::uint8_t* block, Bits bits, int lane) {
    constexpr int kHalf = kTile / 2;
    const auto header = [&](int index) {
        Half value;
        std::memcpy(&value, block + 2 * index, sizeof value);
        return from_half(value);
    };
    QuantBlock out{header(lane), bits == Bits::kFour ? header(kTile + lane) : 0, {}};
    const std::uint8_t* bytes = block + header_bytes(bits);
    for (int input = 0; input < kBlock; ++input) {
        if (bits == Bits::kFour) {
            const int byte = bytes[(input / kGroup * kHalf + lane % kHalf) * kGroup + input % kGroup];
            out.q[input] = static_cast<std::int8_t>(lane < kHalf ? byte & 15 : byte >> 4);
        } else {
            out.q[input] = static_cast<std::int8_t>(bytes[(input / 2 * kTile + lane) * 2 + input % 2]);
        }
    }
    return out;
}

QuantBlock round_to_eight_bits(const float* values) {
    float most = 0;
    for (int i = 0; i < kBlock; ++i) {
        require(std::isfinite(values[i]), "a weight is no number");
        most = std::max(most, std::fabs(values[i]));
    }
    QuantBlock out{from_half(to_half(most / 127)), 0, {}};
    for (int i = 0; i < kBlock; ++i) {
        const float q = out.scale > 0 ? std::nearbyint(values[i] / out.scale) : 0;
        out.q[i] = static_cast<std::int8_t>(std::clamp(q, -127.0f, 127.0f));
    }
    return out;
}

QuantBlock read_block(GgufType type, Bits bits, const std::uint8_t* row, int block) {
    if (bits == Bits::kFour) return read_four_bits(type, row, block);
    float values[kBlock];
    read_floats(type, row, block, values);
    return round_to_eight_bits(values);
}

// A column of the matrix: a row of one of its parts.
struct Column {
    GgufType type;
    const std::uint8_t* row;
};

std::vector<Column> columns_of(const std::vector<RawRows>& parts, int width) {
    std::vector<Column> columns;
    for (const RawRows& part : parts) {
        const std::size_t bytes = row_bytes(part.type, width);
        require(part.rows >= 0 && part.size == bytes * part.rows,
                "a tensor has more or fewer bytes than its type and shape need");
        for (int i = 0; i < part.rows; ++i) {
            const int row = part.order ? part.order[i] : i;
            require(row >= 0 && row < part.rows, "an order of rows names one that is not there");
            columns.push_back({part.type, part.bytes + bytes * row});
        }
    }
    return columns;
}

}  // namespace

PackedMatrix pack(const std::vector<RawRows>& parts, int width) {
    const std::vector<Column> columns = columns_of(parts, width);
    const bool four =
        std::ranges::all_of(parts, [](const RawRows& part) { return has_four_bits(part.type); });
    const int count = static_cast<int>(columns.size());
    PackedMatrix matrix{four ? Bits::kFour : Bits::kEight, count, width, {}};
    const std::size_t step = block_bytes(matrix.bits);
    matrix.bytes = LargePages(step * matrix.blocks() * matrix.tiles());
    std::uint8_t* place = matrix.bytes.data();
    for (int first = 0; first < count; first += kTile) {
        for (int block = 0; block < matrix.blocks(); ++block, place += step) {
            QuantBlock lanes[kTile] = {};
            for (int lane = 0; lane < std::min(kTile, count - first); ++lane) {
                const Column& column = columns[first + lane];
                lanes[lane] = read_block(column.type, matrix.bits, column.row, block);
            }
            write_header(lanes, matrix.bits, place);
            four ? write_four_bits(lanes, place) : write_eight_bits(lanes, place);
        }
    }
    return matrix;
}

void read_column(const PackedMatrix& matrix, int column, float* weights) {
    const int lane = column % kTile;
    const std::uint8_t* block = matrix.tile(column / kTile);
    for (int at = 0; at < matrix.width; at += kBlock, block += block_bytes(matrix.bits)) {
        const QuantBlock own = read_lane(block, matrix.bits, lane);
        for (int i = 0; i < kBlock; ++i) weights[at + i] = own.scale * own.q[i] + own.minimum;
    }
}

LowRank pack_low_rank(const Half* a, const Half* b, int width, int first, int rows, int rank, float scaling) {
    LowRank out{first / kTile, rows / kTile, rank, scaling, {a, a + rank * width}, {}};
    out.up.resize(static_cast<std::size_t>(rows) * rank);
    for (int row = 0; row < rows; ++row) {
        for (int lane = 0; lane < rank; ++lane) {
            out.up[(row / kTile * rank + lane) * kTile + row % kTile] = b[row * rank + lane];
        }
    }
    return out;
}

}  // namespace townsfolk
