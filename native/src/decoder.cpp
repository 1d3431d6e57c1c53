#include "decoder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "require.hpp"

namespace townsfolk {
namespace {

constexpr int kTokensTogether = 4;  // that share the reading of an adapter

// The shape, which the kernels can handle.
const Shape& checked(const Shape& shape) {
    for (const int size :
         {shape.vocab, shape.layers, shape.hidden, shape.ffn, shape.heads, shape.kv_heads, shape.head_dim}) {
        require(size > 0, "a size of the model is " + std::to_string(size) + ", must be positive");
    }
    require(shape.head_dim % kTile == 0 && shape.head_dim <= kMaxHeadDim,
            "head size " + std::to_string(shape.head_dim) + " must be a multiple of 16, at most 256");
    require(shape.heads % shape.kv_heads == 0 && shape.heads / shape.kv_heads <= kMaxGroup,
            std::to_string(shape.heads) + " heads must share " + std::to_string(shape.kv_heads) +
                " key-value heads evenly, at most 64 each");
    for (const int width : {shape.hidden, shape.ffn, shape.heads * shape.head_dim}) {
        require(width % kBlock == 0, "width " + std::to_string(width) + " must be a multiple of 32");
    }
    return shape;
}

int checked_bits(int kv_bits) {
    require(kv_bits == 16 || kv_bits == 8,
            "a KV cache of " + std::to_string(kv_bits) + " bits is none of 16 and 8");
    return kv_bits;
}

}  // namespace

int Shape::columns(int projection) const {
    switch (projection) {
        case kQkv:
            return (heads + 2 * kv_heads) * head_dim;
        case kGateUp:
            return 2 * ffn;
        default:
            return hidden;
    }
}

int Shape::width(int projection) const {
    switch (projection) {
        case kOutput:
            return heads * head_dim;
        case kDown:
            return ffn;
        default:
            return hidden;
    }
}

Decoder::Decoder(const Shape& shape, RotaryTables rotary, const Kernels& kernels, int threads, int kv_slots,
                 int kv_bits)
    : shape_(checked(shape)),
      rotary_(std::move(rotary)),
      kernels_(kernels),
      cache_(shape.layers, shape.kv_heads, shape.head_dim, kv_slots, checked_bits(kv_bits)),
      pool_(threads) {
    layers_.resize(static_cast<std::size_t>(shape.layers));
}

void Decoder::forward(const float* hidden, const std::vector<Sequence>& sequences, float* logits) {
    require(complete(), "all layers and the head must be set before a pass");
    for (const Sequence& sequence : sequences) check(sequence);
    lay_out(hidden, sequences);
    for (int layer = 0; layer < shape_.layers; ++layer) {
        normalize_and_prepare(layer, kQkv);
        multiply(layer, kQkv, qkv_.data(), false);
        turn_and_cache(layer);
        attend(layer);
        settle_and_prepare(layer);
        multiply(layer, kOutput, hidden_.data(), true);
        normalize_and_prepare(layer, kGateUp);
        multiply(layer, kGateUp, gate_up_.data(), false);
        gate_and_prepare(layer);
        multiply(layer, kDown, hidden_.data(), true);
    }
    write_logits(logits);
}

bool Decoder::complete() const {
    const auto filled = [](const PackedMatrix& matrix) { return !matrix.bytes.empty(); };
    return filled(head_) && std::ranges::all_of(layers_, [&](const Layer& layer) {
               return std::ranges::all_of(layer.linear, filled);
           });
}

void Decoder::check(const Sequence& sequence) const {
    require(sequence.tokens > 0 && sequence.tokens <= sequence.length,
            "a row must have slots for its tokens");
    require(sequence.length <= rotary_.positions, "a row has " + std::to_string(sequence.length) +
                                                      " tokens, at most " +
                                                      std::to_string(rotary_.positions) + " fit");
    require(sequence.wanted >= 0 && sequence.wanted <= sequence.tokens,
            "logits are wanted after more tokens than the row has");
    for (int i = 0; i < sequence.length; ++i) {
        const std::int32_t slot = sequence.slots[i];
        if (slot >= 0 && slot < cache_.slots()) continue;
        throw std::invalid_argument("KV slot " + std::to_string(slot) + " is not from 0 to " +
                                    std::to_string(cache_.slots() - 1));
    }
}

void Decoder::lay_out(const float* hidden, const std::vector<Sequence>& sequences) {
    tokens_.clear();
    wanted_.clear();
    pieces_.clear();
    most_rank_ = 0;
    for (const Sequence& sequence : sequences) {
        cut_into_pieces(static_cast<int>(tokens_.size()), sequence.tokens);
        for (int i = 0; i < sequence.tokens; ++i) {
            if (i >= sequence.tokens - sequence.wanted) {
                wanted_.push_back({static_cast<int>(tokens_.size()), sequence.allowed});
            }
            const int position = sequence.length - sequence.tokens + i;
            const bool adapted = position >= sequence.adapter_from;
            tokens_.push_back({position, &sequence, adapted ? sequence.adapter : nullptr});
        }
        if (!sequence.adapter) continue;
        for (const auto& targets : sequence.adapter->targets) {
            for (const LowRank& target : targets) {
                most_rank_ = std::max(most_rank_, static_cast<std::size_t>(target.rank));
            }
        }
    }
    share_out_attention();
    reserve_room();
    std::copy_n(hidden, tokens_.size() * shape_.hidden, hidden_.data());
}

void Decoder::reserve_room() {
    const std::size_t count = tokens_.size();
    const int widest = std::max({shape_.hidden, shape_.ffn, shape_.heads * shape_.head_dim});
    hidden_.resize(count * shape_.hidden);
    normed_.resize(count * shape_.hidden);
    qkv_.resize(count * shape_.columns(kQkv));
    mixed_.resize(shares_ * count * shape_.width(kOutput));
    attention_sums_.resize(shares_ * count * shape_.heads);
    gate_up_.resize(count * shape_.columns(kGateUp));
    gated_.resize(count * shape_.ffn);
    lanes_.resize(count * kMaxTargets * most_rank_);
    rounded_.reserve(kernels_, static_cast<int>(count), widest);
}

template <class Task>
void Decoder::share_tokens(Task&& task) {
    const int count = static_cast<int>(tokens_.size());
    const int together = count < kTokensTogether * kTasksPerThread * pool_.threads() ? 1 : kTokensTogether;
    pool_.run(rounded_up(count, together),
              [&](int index) { task(index * together, std::min(count, (index + 1) * together)); });
}

void Decoder::normalize_and_prepare(int layer, Projection projection) {
    const auto& weight = projection == kQkv ? layers_[layer].attention_norm : layers_[layer].ffn_norm;
    share_tokens([&](int first, int last) {
        for (int token = first; token < last; ++token) {
            const std::size_t at = static_cast<std::size_t>(token) * shape_.hidden;
            kernels_.normalize(&hidden_[at], weight.data(), shape_.epsilon, shape_.hidden, &normed_[at]);
        }
        prepare(layer, projection, normed_.data(), first, last);
    });
}

void Decoder::gate_and_prepare(int layer) {
    share_tokens([=, this](int first, int last) {
        for (int token = first; token < last; ++token) {
            const float* gates = &gate_up_[static_cast<std::size_t>(token) * 2 * shape_.ffn];
            float* out = &gated_[static_cast<std::size_t>(token) * shape_.ffn];
            kernels_.gate(gates, gates + shape_.ffn, shape_.ffn, out);
        }
        prepare(layer, kDown, gated_.data(), first, last);
    });
}

void Decoder::prepare(int layer, Projection projection, const float* x, int first, int last) {
    const int width = shape_.width(projection);
    for (int token = first; token < last; ++token) {
        rounded_.round(kernels_, layers_[layer].linear[projection], token,
                       x + static_cast<std::size_t>(token) * width);
    }
    // Neighbours with the same adapter read it once.
    while (first < last) {
        const int end = end_of_adapter(first, last);
        if (tokens_[first].adapter) see_through_adapters(layer, projection, x, first, end);
        first = end;
    }
}

int Decoder::end_of_adapter(int first, int last) const {
    int end = first + 1;
    while (end < last && tokens_[end].adapter == tokens_[first].adapter) ++end;
    return end;
}

void Decoder::see_through_adapters(int layer, Projection projection, const float* x, int first, int last) {
    const int width = shape_.width(projection);
    const auto& targets = tokens_[first].adapter->at(layer, projection);
    const float* inputs[kTokensTogether];
    float* outputs[kTokensTogether];
    for (std::size_t target = 0; target < targets.size(); ++target) {
        for (int token = first; token < last; ++token) {
            inputs[token - first] = x + static_cast<std::size_t>(token) * width;
            outputs[token - first] = &lanes_[lanes_at(token, target)];
        }
        const LowRank& own = targets[target];
        kernels_.project_down(own.down.data(), own.rank, width, own.scaling, inputs, last - first, outputs);
    }
}

void Decoder::multiply(int layer, Projection projection, float* out, bool add) {
    const int tiles = layers_[layer].linear[projection].tiles();
    const int together = std::max(1, tiles / (kTasksPerThread * pool_.threads()));
    pool_.run(rounded_up(tiles, together), [&](int index) {
        const int last = std::min(tiles, (index + 1) * together);
        for (int tile = index * together; tile < last; ++tile) {
            multiply_tile(layer, projection, tile, out, add);
        }
        add_adapters(layer, projection, index * together, last, out);
    });
}

void Decoder::multiply_tile(int layer, Projection projection, int tile, float* out, bool add) {
    const PackedMatrix& matrix = layers_[layer].linear[projection];
    const int count = static_cast<int>(tokens_.size());
    alignas(64) float sums[kMaxPanel * kTile];
    for (int first = 0; first < count; first += kernels_.panel_rows) {
        const int rows = std::min(kernels_.panel_rows, count - first);
        rounded_.multiply(kernels_, matrix, tile, first, rows, sums);
        float* place = out + static_cast<std::size_t>(first) * matrix.columns + tile * kTile;
        (add ? kernels_.add : kernels_.put)(sums, rows, place, matrix.columns);
    }
}

// To several tiles at once: what is read of an adapter for them lies in one piece.
void Decoder::add_adapters(int layer, Projection projection, int first_tile, int last_tile,
                           float* out) const {
    const int count = static_cast<int>(tokens_.size());
    const std::size_t columns = static_cast<std::size_t>(layers_[layer].linear[projection].columns);
    for (int first = 0, end; first < count; first = end) {
        end = end_of_adapter(first, count);
        if (!tokens_[first].adapter) continue;
        const auto& targets = tokens_[first].adapter->at(layer, projection);
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const LowRank& target = targets[i];
            const int begin = std::max(first_tile, target.first_tile);
            const int tiles = std::min(last_tile, target.first_tile + target.tiles) - begin;
            if (tiles <= 0) continue;
            const std::size_t at = static_cast<std::size_t>(begin - target.first_tile) * target.rank;
            kernels_.project_up(&target.up[at * kTile], tiles, target.rank,
                                {&lanes_[lanes_at(first, i)], kMaxTargets * most_rank_}, end - first,
                                {out + first * columns + begin * kTile, columns});
        }
    }
}

void Decoder::turn_and_cache(int layer) {
    const int size = shape_.head_dim, half = size / 2;
    const float query_scale = 1.0f / std::sqrt(static_cast<float>(size));
    share_tokens([=, this](int first, int last) {
        for (int token = first; token < last; ++token) {
            const auto [position, sequence, adapter] = tokens_[token];
            const float* cosines = &rotary_.cosines[static_cast<std::size_t>(position) * half];
            const float* sines = &rotary_.sines[static_cast<std::size_t>(position) * half];
            float* queries = &qkv_[static_cast<std::size_t>(token) * shape_.columns(kQkv)];
            float* keys = queries + shape_.heads * size;
            float* values = keys + shape_.kv_heads * size;
            finish_queries_keys(layers_[layer], queries);
            for (int h = 0; h < shape_.heads; ++h) {
                kernels_.rotate(queries + h * size, cosines, sines, half, query_scale);
            }
            for (int h = 0; h < shape_.kv_heads; ++h) {
                kernels_.rotate(keys + h * size, cosines, sines, half, 1.0f);
            }
            // Queries, keys and values alike; `settle` takes it back. In 8 bits, outliers would cost all
            // others.
            if (cache_.bits() == 8) spread(queries, shape_.heads + 2 * shape_.kv_heads);
            for (int h = 0; h < shape_.kv_heads; ++h) {
                cache_.write(kernels_, layer, h, sequence->slots[position], keys + h * size,
                             values + h * size);
            }
        }
    });
}

// Adds the family's biases to a token's queries, keys and values, and normalises queries and keys by head.
void Decoder::finish_queries_keys(const Layer& layer, float* qkv) const {
    const int size = shape_.head_dim;
    for (std::size_t i = 0; i < layer.qkv_bias.size(); ++i) qkv[i] += layer.qkv_bias[i];
    if (layer.query_norm.empty()) return;
    for (int head = 0; head < shape_.heads + shape_.kv_heads; ++head) {
        const auto& weight = head < shape_.heads ? layer.query_norm : layer.key_norm;
        kernels_.normalize(qkv + head * size, weight.data(), shape_.epsilon, size, qkv + head * size);
    }
}

void Decoder::settle_and_prepare(int layer) {
    share_tokens([=, this](int first, int last) {
        for (int token = first; token < last; ++token) settle(token);
        prepare(layer, kOutput, mixed_.data(), first, last);
    });
}

void Decoder::write_logits(float* logits) {
    const int count = static_cast<int>(wanted_.size());
    pool_.run(count, [=, this](int index) {
        const std::size_t from = static_cast<std::size_t>(wanted_[index].token) * shape_.hidden;
        const std::size_t to = static_cast<std::size_t>(index) * shape_.hidden;
        kernels_.normalize(&hidden_[from], final_norm_.data(), shape_.epsilon, shape_.hidden, &normed_[to]);
        rounded_.round(kernels_, head_, index, &normed_[to]);
    });
    const int tiles = head_.tiles();
    const int together = std::max(1, tiles / (kTasksPerThread * kTasksPerThread * pool_.threads()));
    pool_.run(count ? rounded_up(tiles, together) : 0, [=, this](int index) {
        const int last = std::min(tiles, (index + 1) * together);
        for (int tile = index * together; tile < last; ++tile) write_logit_tile(tile, logits);
    });
}

std::uint32_t Decoder::allowed_columns(int row, int tile) const {
    const std::uint32_t* allowed = wanted_[row].allowed;
    return allowed ? allowed[tile / 2] >> (tile % 2 * kTile) & 0xffff : 0xffff;
}

// Neighbours of a panel that may have a token of the tile share the reading of its weights.
void Decoder::write_logit_tile(int tile, float* logits) {
    const int count = static_cast<int>(wanted_.size());
    alignas(64) float sums[kMaxPanel * kTile];
    for (int first = 0; first < count;) {
        const int panel_end = std::min(count, (first / kernels_.panel_rows + 1) * kernels_.panel_rows);
        int end = first;
        while (end < panel_end && allowed_columns(end, tile)) ++end;
        if (end > first) rounded_.multiply(kernels_, head_, tile, first, end - first, sums);
        for (int row = first; row < end; ++row)
            write_logit_row(row, tile, sums + (row - first) * kTile, logits);
        if (end < panel_end) write_logit_row(end++, tile, nullptr, logits);
        first = end;
    }
}

void Decoder::write_logit_row(int row, int tile, const float* sums, float* logits) const {
    constexpr float forbidden = -std::numeric_limits<float>::infinity();
    const std::uint32_t allowed = allowed_columns(row, tile);
    float* place = logits + static_cast<std::size_t>(row) * shape_.vocab + tile * kTile;
    const int columns = std::min(kTile, shape_.vocab - tile * kTile);
    for (int i = 0; i < columns; ++i) place[i] = allowed >> i & 1 ? sums[i] : forbidden;
}

}  // namespace townsfolk
