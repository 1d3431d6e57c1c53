// Loads what a fuzzer makes up as weights of a GGUF file and as an adapter, and runs a pass over them: what
// comes is logits or std::invalid_argument, and nothing is read beyond the bytes. Built by scripts/fuzz with
// libFuzzer and sanitizers.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "activations.hpp"
#include "decoder.hpp"

using namespace townsfolk;

namespace {

constexpr GgufType kTypes[] = {GgufType::kF32,  GgufType::kF16,  GgufType::kQ4_0, GgufType::kQ4_1,
                               GgufType::kQ5_0, GgufType::kQ5_1, GgufType::kQ8_0, GgufType::kBF16};
constexpr Shape kShape{20, 1, 32, 32, 2, 1, 16, 1e-5f};  // small: a fuzzer lives by its number of runs
constexpr int kPositions = 8, kMostSeed = 64;
constexpr Half kMostHalf = 0x7bff;  // the adapter's reader lets none by that is no number

// Memory of exactly this size, so that the address sanitizer sees a step beyond it. A few bytes are repeated:
// those of whole matrices would be too many for a fuzzer to think of.
class Bytes {
  public:
    Bytes(FuzzedDataProvider& input, std::size_t size) : size_(size), data_(new std::uint8_t[size]) {
        const auto seed = input.ConsumeBytes<std::uint8_t>(kMostSeed);
        for (std::size_t i = 0; i < size; ++i) data_[i] = seed.empty() ? 0 : seed[i % seed.size()];
    }

    const std::uint8_t* data() const { return data_.get(); }
    std::size_t size() const { return size_; }

  private:
    std::size_t size_;
    std::unique_ptr<std::uint8_t[]> data_;
};

// Reads all of a packed matrix.
void multiply(const PackedMatrix& matrix) {
    const std::vector<float> x(static_cast<std::size_t>(matrix.width), 1.0f);
    std::vector<float> out(kTile);
    const Kernels& kernels = *find_kernels();
    Activations row;
    row.reserve(kernels, 1, matrix.width);
    row.round(kernels, matrix, 0, x.data());
    for (int tile = 0; tile < matrix.tiles(); ++tile) {
        row.multiply(kernels, matrix, tile, 0, 1, out.data());
    }
}

// What a file may say of its tensors, however wrong.
void load_parts(FuzzedDataProvider& input) {
    const int width = input.ConsumeIntegralInRange(-64, 1024);
    std::vector<Bytes> bytes;
    std::vector<std::vector<std::int32_t>> orders(3);
    std::vector<RawRows> parts;
    for (auto& order : orders) {
        const auto type = static_cast<GgufType>(input.ConsumeIntegralInRange(-1, 40));
        const int rows = input.ConsumeIntegralInRange(-1, 40);
        bytes.emplace_back(input, input.ConsumeBool() ? row_bytes(type, width) * std::max(rows, 0)
                                                      : input.ConsumeIntegralInRange(0, 4096));
        const bool ordered = input.ConsumeBool();
        for (int i = 0; ordered && i < rows; ++i) order.push_back(input.ConsumeIntegralInRange(-2, rows));
        parts.push_back(
            {type, bytes.back().data(), bytes.back().size(), rows, ordered ? order.data() : nullptr});
    }
    multiply(pack(parts, width));
}

PackedMatrix load_matrix(FuzzedDataProvider& input, int columns, int width) {
    const GgufType type = input.PickValueInArray(kTypes);
    const Bytes bytes(input, row_bytes(type, width) * columns);
    return pack({{type, bytes.data(), bytes.size(), columns, nullptr}}, width);
}

LowRank load_target(FuzzedDataProvider& input) {
    const int rank = input.ConsumeIntegralInRange(1, 8), rows = kTile * input.ConsumeIntegralInRange(1, 2);
    std::vector<Half> a(rank * kShape.hidden), b(rows * rank);
    for (auto& value : a) value = input.ConsumeIntegralInRange<Half>(0, kMostHalf);
    for (auto& value : b) value = input.ConsumeIntegralInRange<Half>(0, kMostHalf);
    return pack_low_rank(a.data(), b.data(), kShape.hidden, kTile * input.ConsumeIntegralInRange(0, 2), rows,
                         rank, input.ConsumeFloatingPointInRange(-1000.0f, 1000.0f));
}

void load_and_run(FuzzedDataProvider& input) {
    const std::vector<float> turns(kPositions * kShape.head_dim / 2, 0.5f), ones(kShape.hidden, 1.0f);
    Decoder decoder(kShape, {kPositions, turns, turns}, *find_kernels(), 1, kPositions,
                    input.ConsumeBool() ? 8 : 16);
    Layer& layer = decoder.layer(0);
    layer.attention_norm = layer.ffn_norm = decoder.final_norm() = ones;
    for (int i = 0; i < kProjections; ++i) {
        layer.linear[i] = load_matrix(input, kShape.columns(i), kShape.width(i));
    }
    decoder.head() = load_matrix(input, kShape.vocab, kShape.hidden);
    Adapter adapter(kShape.layers);
    adapter.targets[kQkv].push_back(load_target(input));
    const std::vector<std::int32_t> slots = {3, 1, 7};
    std::vector<float> hidden(slots.size() * kShape.hidden), logits(kShape.vocab);
    for (auto& value : hidden) value = input.ConsumeFloatingPointInRange(-60000.0f, 60000.0f);
    decoder.forward(hidden.data(), {{3, slots.data(), 3, &adapter, 1, 1, nullptr}}, logits.data());
}

void attempt(void (*what)(FuzzedDataProvider&), FuzzedDataProvider& input) {
    try {
        what(input);
    } catch (const std::invalid_argument&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    attempt(input.ConsumeBool() ? load_parts : load_and_run, input);
    return 0;
}
