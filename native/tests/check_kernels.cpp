// Compares all kernels that this processor can run with the portable ones, and a decoder's passes on one
// thread with those on four. Run under sanitizers by scripts/sanitize, and under an emulator for other
// processors.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "activations.hpp"
#include "decoder.hpp"
#include "half.hpp"
#include "inputs.hpp"
#include "kernels.hpp"
#include "kv_store.hpp"
#include "thread_pool.hpp"
#include "weights.hpp"

using namespace townsfolk;

namespace {

int failures = 0;
std::mt19937 random_bits(1);

std::vector<float> randoms(std::size_t count, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> out(count);
    for (float& value : out) value = normal(random_bits);
    return out;
}

std::vector<Half> halves(const std::vector<float>& values) {
    std::vector<Half> out;
    for (const float value : values) out.push_back(to_half(value));
    return out;
}

void expect_close(const std::string& what, const std::vector<float>& ours, const std::vector<float>& theirs) {
    for (std::size_t i = 0; i < ours.size(); ++i) {
        if (!(std::fabs(ours[i] - theirs[i]) <= 1e-4f * (1 + std::fabs(theirs[i])))) {
            std::printf("%s: element %zu is %g, must be %g\n", what.c_str(), i, ours[i], theirs[i]);
            ++failures;
            return;
        }
    }
}

void expect_same(const std::string& what, const std::vector<float>& ours, const std::vector<float>& theirs) {
    if (std::memcmp(ours.data(), theirs.data(), ours.size() * sizeof(float)) != 0) {
        std::printf("%s: differs\n", what.c_str());
        ++failures;
    }
}

PackedMatrix random_matrix(Bits bits, int columns, int width) {
    const GgufType type = bits == Bits::kFour ? GgufType::kQ4_1 : GgufType::kF32;
    std::vector<std::uint8_t> bytes(columns * row_bytes(type, width));
    if (bits == Bits::kEight) {
        std::memcpy(bytes.data(), randoms(columns * width).data(), bytes.size());
    } else {
        for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random_bits());
        const auto scales = halves(randoms(columns * width / kBlock, 0.1f)),
                   minima = halves(randoms(scales.size()));
        for (std::size_t i = 0; i < scales.size(); ++i) {
            std::memcpy(&bytes[i * 20], &scales[i], sizeof(Half));
            std::memcpy(&bytes[i * 20 + 2], &minima[i], sizeof(Half));
        }
    }
    return pack({{type, bytes.data(), bytes.size(), columns, nullptr}}, width);
}

// Activations with outliers, rounded and multiplied with the first tile of a matrix.
std::vector<float> product(const Kernels& kernels, const PackedMatrix& matrix, const std::vector<float>& x,
                           int count) {
    Activations rows;
    rows.reserve(kernels, count, matrix.width);
    for (int i = 0; i < count; ++i) rows.round(kernels, matrix, i, &x[i * matrix.width]);
    std::vector<float> out(count * kTile);
    for (int first = 0; first < count; first += kernels.panel_rows) {
        const int some = std::min(kernels.panel_rows, count - first);
        rows.multiply(kernels, matrix, 0, first, some, &out[first * kTile]);
    }
    return out;
}

bool rounds_to_planes(const Kernels& kernels) {
    return std::strcmp(kernels.name, "avx512vnni") == 0 || std::strcmp(kernels.name, "amx") == 0;
}

// The same of 4-bit weights, with activations rounded to planes by plain arithmetic.
std::vector<float> product_of_planes(const PackedMatrix& matrix, const std::vector<float>& x, int count) {
    std::vector<float> out, column(matrix.width);
    for (int i = 0; i < count * kTile; ++i) {
        const float* row = &x[i / kTile * matrix.width];
        double sum = 0;
        read_column(matrix, i % kTile, column.data());
        for (int at = 0; at < matrix.width; at += kBlock) {
            float most = 0;
            for (int k = at; k < at + kBlock; ++k) most = std::max(most, std::fabs(row[k]));
            for (int k = at; k < at + kBlock; ++k) {
                if (most > 0)
                    sum += std::nearbyint(row[k] * (kMostPlanes / most)) * (most / kMostPlanes) * column[k];
            }
        }
        out.push_back(static_cast<float>(sum));
    }
    return out;
}

void check_multiply(const Kernels& own, const Kernels& portable) {
    constexpr int width = 96;
    for (const Bits bits : {Bits::kFour, Bits::kEight}) {
        const PackedMatrix matrix = random_matrix(bits, kTile, width);
        for (const int count : {1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 64, 65, 130}) {
            auto x = randoms(count * width);
            for (std::size_t i = 0; i < x.size(); i += 37) x[i] *= 50;
            const bool planes = bits == Bits::kFour && rounds_to_planes(own);
            expect_close("multiply", product(own, matrix, x, count),
                         planes ? product_of_planes(matrix, x, count) : product(portable, matrix, x, count));
        }
    }
}

// Rows come out the same, to the bit, however many there are.
void check_alone(const Kernels& own) {
    constexpr int width = 96, count = 37;
    for (const Bits bits : {Bits::kFour, Bits::kEight}) {
        const PackedMatrix matrix = random_matrix(bits, kTile, width);
        const auto x = randoms(count * width), together = product(own, matrix, x, count);
        for (int row = 0; row < count; ++row) {
            const auto alone =
                product(own, matrix, {x.begin() + row * width, x.begin() + (row + 1) * width}, 1);
            expect_same("a row alone", alone,
                        {together.begin() + row * kTile, together.begin() + (row + 1) * kTile});
        }
    }
}

// The largest sums that 16 bits must hold, and blocks of zeros. Weights are the largest of 4 bits, 15 less 8.
void check_extremes(const Kernels& own) {
    constexpr int width = 64;
    std::vector<std::uint8_t> bytes(kTile * row_bytes(GgufType::kQ4_0, width), 0xff);
    const Half one = to_half(1);
    for (std::size_t i = 0; i < bytes.size(); i += 18) std::memcpy(&bytes[i], &one, sizeof one);
    const PackedMatrix matrix = pack({{GgufType::kQ4_0, bytes.data(), bytes.size(), kTile, nullptr}}, width);
    for (const float value : {1.0f, -1.0f, 0.0f}) {
        const std::vector<float> x(width, value), expected(kTile, 7 * width * value);
        expect_close("extremes", product(own, matrix, x, 1), expected);
    }
    // Half of the groups wide: with the largest wide part, 127 * 128, then with the largest low part, 64.
    for (const float wide : {127.0f * 128, 126.0f * 128 + 64}) {
        for (const float sign : {1.0f, -1.0f}) {
            std::vector<float> x(width, sign * 127);
            for (int i = 0; i < width; ++i) {
                if (i / kGroup % 2) x[i] = sign * wide;
            }
            const double sum = std::accumulate(x.begin(), x.end(), 0.0);
            expect_close("extremes of wide groups", product(own, matrix, x, 1),
                         std::vector<float>(kTile, static_cast<float>(7 * sum)));
        }
    }
}

// Rounded to the nearest multiple of a scale that 16 bits hold.
void check_bytes(const Kernels& kernels, const std::vector<float>& x) {
    std::vector<std::int8_t> bytes(x.size());
    std::vector<Half> scales(x.size() / kTile);
    kernels.to_bytes(x.data(), static_cast<int>(x.size()), bytes.data(), scales.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float step = from_half(scales[i / kTile]), most = step * 127;
        const float kept = std::clamp(x[i], -most, most), error = std::fabs(kept - step * bytes[i]);
        if (!(error <= 0.501f * step) || bytes[i] == -128) {
            std::printf("to_bytes: %g became %d times %g\n", x[i], bytes[i], step);
            ++failures;
            return;
        }
    }
}

void check_spread(const Kernels& kernels, int size) {
    const auto x = randoms(size);
    auto twice = x;
    kernels.spread(twice.data(), size);
    kernels.spread(twice.data(), size);
    expect_close("spread", twice, x);
}

void check_rows(const Kernels& own, const Kernels& portable) {
    constexpr int width = 96;
    const auto x = randoms(width, 20), y = randoms(width);
    std::vector<float> a(width), b(width);
    own.normalize(x.data(), y.data(), 1e-5f, width, a.data());
    portable.normalize(x.data(), y.data(), 1e-5f, width, b.data());
    expect_close("normalize", a, b);
    own.gate(x.data(), y.data(), width, a.data());
    portable.gate(x.data(), y.data(), width, b.data());
    expect_close("gate", a, b);
    std::vector<Half> c(width), d(width);
    own.to_half(x.data(), width, c.data());
    portable.to_half(x.data(), width, d.data());
    expect_close("to_half", {c.begin(), c.end()}, {d.begin(), d.end()});
    for (const int size : {16, 64, 80}) check_spread(own, size);
    check_bytes(own, x);
    check_bytes(own, randoms(width, 1e-7f));
    check_bytes(own, std::vector<float>(width));
}

void check_adapters(const Kernels& own, const Kernels& portable) {
    constexpr int width = 96, rank = 5, count = 6, tiles = 3, stride = 4 * kTile;
    const auto down = halves(randoms(rank * width)), up = halves(randoms(tiles * rank * kTile));
    const auto x = randoms(count * width);
    const float* inputs[count];
    std::vector<float> results[2];
    for (int i = 0; i < count; ++i) inputs[i] = &x[i * width];
    for (const int turn : {0, 1}) {
        const Kernels& kernels = turn ? portable : own;
        std::vector<float> lanes(count * rank);
        float* outputs[count];
        for (int i = 0; i < count; ++i) outputs[i] = &lanes[i * rank];
        kernels.project_down(down.data(), rank, width, 2.0f, inputs, count, outputs);
        results[turn].assign(count * stride, 1.0f);
        kernels.project_up(up.data(), tiles, rank, {lanes.data(), rank}, count,
                           {results[turn].data(), stride});
        results[turn].insert(results[turn].end(), lanes.begin(), lanes.end());
    }
    expect_close("adapters", results[0], results[1]);
}

// What `tokens` tokens of 2 x `group` queries get to see of a random past.
class AttentionCase {
  public:
    AttentionCase(int size, int group, int slots, int bits)
        : size_(size), group_(group), store_(1, 2, size, slots, bits), order_(slots) {
        const Kernels& portable = *find_kernels("portable");
        for (int slot = 0; slot < slots; ++slot) {
            order_[slot] = slot * 7 % slots;
            store_.write(portable, 0, 1, slot, randoms(size).data(), randoms(size).data());
        }
    }

    // Attends to stretches `together` at once; results of this head [tokens, 2 * group, size].
    std::vector<float> attend(const Kernels& kernels, const std::vector<float>& queries, int length,
                              int tokens, int together) {
        const int heads = 2 * group_, end = length + tokens - 1;
        std::vector<float> mixed(tokens * heads * size_), later(mixed.size());
        std::vector<AttentionSum> sums(tokens * heads), later_sums(sums.size());
        const std::size_t stride = static_cast<std::size_t>(group_) * size_;
        AttentionHead head{queries.data(),    stride,        tokens, heads,       group_,      size_,
                           store_.head(0, 1), order_.data(), length, sums.data(), mixed.data()};
        kernels.attend(head, 0, std::min(end, together));
        head.sums = later_sums.data(), head.mixed = later.data();
        for (int first = together; first < end; first += together) {
            kernels.attend(head, first, std::min(end, first + together));
            for (int i = 0; i < tokens * heads; ++i) {
                if (i % heads < group_)
                    kernels.merge(later_sums[i], &later[i * size_], size_, sums[i], &mixed[i * size_]);
            }
        }
        for (int i = 0; i < tokens * heads; ++i) {
            if (i % heads < group_) kernels.settle(sums[i], size_, &mixed[i * size_]);
        }
        return mixed;
    }

  private:
    int size_, group_;
    KvStore store_;
    std::vector<std::int32_t> order_;
};

void check_attention(const Kernels& own, const Kernels& portable, int bits, int group) {
    constexpr int size = 48, slots = 3 * kStretch + 20, tokens = 5;
    AttentionCase past(size, group, slots, bits);
    const auto queries = randoms(tokens * group * size, 0.3f);
    for (const int length : {1, 2, 15, 16, 17, 100, 126, 127, 128, 129, 300, slots - tokens + 1}) {
        const auto ours = past.attend(own, queries, length, tokens, slots + kStretch);
        expect_close("attend", ours, past.attend(portable, queries, length, tokens, slots + kStretch));
        expect_same("attend, by stretches", ours, past.attend(own, queries, length, tokens, kStretch));
        const auto last =
            past.attend(own, {queries.end() - group * size, queries.end()}, length + tokens - 1, 1, kStretch);
        expect_same("attend, a token alone", last, {ours.end() - 2 * group * size, ours.end()});
    }
}

void fill(Decoder& decoder) {
    const Shape& shape = decoder.shape();
    for (int i = 0; i < shape.layers; ++i) {
        Layer& layer = decoder.layer(i);
        layer.attention_norm = layer.ffn_norm = std::vector<float>(shape.hidden, 1.0f);
        if (i % 2) {  // as some families have them
            layer.qkv_bias = randoms(shape.columns(kQkv));
            layer.query_norm = layer.key_norm = std::vector<float>(shape.head_dim, 2.0f);
        }
        for (int p = 0; p < kProjections; ++p) {
            layer.linear[p] =
                random_matrix(p % 2 ? Bits::kEight : Bits::kFour, shape.columns(p), shape.width(p));
        }
    }
    decoder.final_norm().assign(shape.hidden, 1.0f);
    decoder.head() = random_matrix(Bits::kEight, shape.vocab, shape.hidden);
}

std::vector<float> logits_with(const Kernels& kernels, int threads) {
    const Shape shape{150, 2, 64, 96, 4, 2, 16, 1e-5f};
    random_bits.seed(5);
    Decoder decoder(shape, {64, randoms(64 * 8), randoms(64 * 8)}, kernels, threads, 128);
    fill(decoder);
    Adapter adapter(shape.layers);
    const auto a = halves(randoms(3 * 64)), b = halves(randoms(32 * 3));
    adapter.targets[kQkv].push_back(pack_low_rank(a.data(), b.data(), 64, 64, 32, 3, 0.5f));
    std::vector<std::int32_t> slots(128);
    for (int i = 0; i < 128; ++i) slots[i] = i * 5 % 128;
    const std::vector<std::uint32_t> allowed(5, 0x0f0000f1);
    const std::vector<Sequence> batch = {{20, slots.data(), 20, &adapter, 7, 2, nullptr},
                                         {1, slots.data() + 30, 1, nullptr, 0, 1, allowed.data()},
                                         {40, slots.data() + 40, 40, nullptr, 0, 3, nullptr}};
    std::vector<float> logits(6 * shape.vocab);
    const auto hidden = randoms(61 * shape.hidden);
    for (int pass = 0; pass < 20; ++pass) decoder.forward(hidden.data(), batch, logits.data());
    return logits;
}

void check_decoder(const Kernels& kernels) {
    const auto one = logits_with(kernels, 1), four = logits_with(kernels, 4);
    if (std::memcmp(one.data(), four.data(), one.size() * sizeof(float)) != 0) {
        std::printf("a pass on four threads differs from one on one\n");
        ++failures;
    }
}

void check_pool() {
    ThreadPool pool(4);
    for (int round = 0; round < 2000; ++round) {
        std::vector<int> done(static_cast<std::size_t>(round % 50));
        pool.run(static_cast<int>(done.size()), [&](int index) { ++done[index]; });
        for (const int times : done) failures += times != 1;
    }
    for (int round = 0; round < 2000; ++round)
        ThreadPool(4).run(round % 3, [](int) {});  // ends while they begin
}

}  // namespace

int main() {
    const Kernels& portable = *find_kernels("portable");
    for (const char* name : {"amx", "avx512vnni", "avx2", "neon_dotprod", "neon", "portable"}) {
        const Kernels* own = find_kernels(name);
        if (!own) continue;
        check_multiply(*own, portable);
        check_alone(*own);
        check_extremes(*own);
        check_rows(*own, portable);
        check_adapters(*own, portable);
        for (const int group : {1, 3, 4}) {
            for (const int bits : {16, 8}) check_attention(*own, portable, bits, group);
        }
        check_decoder(*own);
        std::printf("%s: %d failures\n", name, failures);
    }
    check_pool();
    std::printf("%d failures in all\n", failures);
    return failures ? 1 : 0;
}
