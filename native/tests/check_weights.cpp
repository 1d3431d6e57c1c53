// Packs random bytes as every type that a GGUF file may have, and reads the columns again: what comes is a
// matrix or std::invalid_argument, and nothing is read beyond the bytes. Run under sanitizers by
// scripts/sanitize; takes the number of rounds.
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "weights.hpp"

using namespace townsfolk;

namespace {

constexpr int kKnown[] = {0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30};

std::mt19937 random_bits(1);

int below(std::size_t limit) { return static_cast<int>(random_bits() % limit); }

// Memory of exactly this size, so that the address sanitizer sees a step beyond it.
struct Bytes {
    std::size_t size;
    std::unique_ptr<std::uint8_t[]> data;

    explicit Bytes(std::size_t count) : size(count), data(new std::uint8_t[count]) {
        // Mostly small exponents, or nearly every block would have a scale that is no number.
        const unsigned mask = random_bits() % 4 ? 0x3f : 0xff;
        for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::uint8_t>(random_bits() & mask);
    }
};

std::size_t size_of(GgufType type, int width, int rows) {
    try {
        return row_bytes(type, width) * rows;
    } catch (const std::invalid_argument&) {
        return 100;
    }
}

// Whether the random parts made a matrix.
bool try_random_parts() {
    const int width = random_bits() % 4 ? 256 * (1 + below(3)) : below(700) - 10;
    std::vector<Bytes> bytes;
    std::vector<std::vector<std::int32_t>> orders;
    std::vector<RawRows> parts;
    for (int part = 0; part < 3; ++part) {
        const GgufType type = static_cast<GgufType>(below(64) ? kKnown[below(std::size(kKnown))] : below(32));
        const int rows = below(40);
        bytes.emplace_back(size_of(type, width, rows) + (random_bits() % 16 == 0));
        orders.emplace_back(rows);
        for (auto& row : orders.back()) row = random_bits() % 4096 ? below(rows) : below(1000) - 500;
        parts.push_back({type, bytes.back().data.get(), bytes.back().size, rows,
                         random_bits() % 2 ? orders.back().data() : nullptr});
    }
    try {
        const PackedMatrix matrix = pack({parts.begin(), parts.begin() + 1 + below(3)}, width);
        std::vector<float> weights(static_cast<std::size_t>(width));
        for (int column = 0; column < matrix.columns; ++column) read_column(matrix, column, weights.data());
        return matrix.bytes.size() ==
               static_cast<std::size_t>(matrix.tiles()) * matrix.blocks() * block_bytes(matrix.bits);
    } catch (const std::invalid_argument&) {
        return false;
    }
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 3000;
    int made = 0;
    for (int round = 0; round < rounds; ++round) made += try_random_parts();
    std::printf("%d of %d random weights were packed\n", made, rounds);
    return made > 0 ? 0 : 1;
}
