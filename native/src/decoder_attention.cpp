// The attention of a pass, shared out by pieces of sequences, key-value heads and, where those are few,
// stretches.
#include <algorithm>

#include "decoder.hpp"

namespace townsfolk {
namespace {

constexpr int kTokensAttending = 8;  // together: they read keys and values from the first-level cache

}  // namespace

void Decoder::cut_into_pieces(int first, int tokens) {
    for (int i = 0; i < tokens; i += kTokensAttending) {
        pieces_.push_back({first + i, std::min(kTokensAttending, tokens - i)});
    }
}

// A task for each piece and key-value head; where those are few, for each of their stretches.
void Decoder::share_out_attention() {
    int longest = 0;
    for (const Token& token : tokens_) longest = std::max(longest, token.position + 1);
    const int tasks = static_cast<int>(pieces_.size()) * shape_.kv_heads;
    shares_ = tasks < kTasksPerThread * pool_.threads() ? rounded_up(longest, kStretch) : 1;
}

void Decoder::attend(int layer) {
    const int heads = shape_.kv_heads;
    pool_.run(static_cast<int>(pieces_.size()) * heads * shares_, [=, this](int index) {
        attend_piece(layer, index % heads, pieces_[index / heads / shares_], index / heads % shares_);
    });
}

void Decoder::attend_piece(int layer, int kv_head, const Piece& piece, int share) {
    const int size = shape_.head_dim, group = shape_.heads / shape_.kv_heads;
    const std::size_t columns = static_cast<std::size_t>(shape_.columns(kQkv));
    const auto [position, sequence, adapter] = tokens_[piece.first];
    const std::size_t result = (share * tokens_.size() + piece.first) * shape_.heads + kv_head * group;
    const AttentionHead head{
        .queries = &qkv_[piece.first * columns + static_cast<std::size_t>(kv_head) * group * size],
        .query_stride = columns,
        .tokens = piece.tokens,
        .heads = shape_.heads,
        .group = group,
        .head_dim = size,
        .past = cache_.head(layer, kv_head),
        .slots = sequence->slots,
        .length = position + 1,
        .sums = &attention_sums_[result],
        .mixed = &mixed_[result * size],
    };
    const int end = position + piece.tokens;
    const int first = share * kStretch;
    kernels_.attend(head, first, shares_ == 1 ? end : std::min(end, first + kStretch));
}

void Decoder::settle(int token) {
    const int size = shape_.head_dim;
    const std::size_t further = tokens_.size() * shape_.heads;
    for (int head = 0; head < shape_.heads; ++head) {
        std::size_t at = static_cast<std::size_t>(token) * shape_.heads + head;
        AttentionSum& sum = attention_sums_[at];
        float* mixed = &mixed_[at * size];
        for (int share = 1; share < shares_; ++share) {
            at += further;
            kernels_.merge(attention_sums_[at], &mixed_[at * size], size, sum, mixed);
        }
        kernels_.settle(sum, size, mixed);
    }
    if (cache_.bits() == 8)
        spread(&mixed_[static_cast<std::size_t>(token) * shape_.heads * size], shape_.heads);
}

void Decoder::spread(float* heads, int count) const {
    for (int h = 0; h < count; ++h) kernels_.spread(heads + h * shape_.head_dim, shape_.head_dim);
}

}  // namespace townsfolk
