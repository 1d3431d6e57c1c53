// A decoder of llama's kind over the packed weights (docs/engine.md lists the families): one pass takes a
// ragged batch of sequences.
//
// A pass is a chain of phases, each shared out among the threads: by tokens, by weight tiles, or, in
// attention, by pieces of sequences, key-value heads and stretches of the past. What a thread computes
// depends on no other token of the phase, so neither the batch, nor the order, nor the number of threads
// changes a single bit of a result. New keys and values go rounded to the cache first and are read from
// there, so neither does the way in which a prompt is cut into passes.
#pragma once

#include <cstdint>
#include <vector>

#include "activations.hpp"
#include "aligned.hpp"
#include "kernels.hpp"
#include "kv_store.hpp"
#include "thread_pool.hpp"
#include "weights.hpp"

namespace townsfolk {

struct Shape {
    int vocab;
    int layers;
    int hidden;
    int ffn;
    int heads;
    int kv_heads;
    int head_dim;
    float epsilon;

    int columns(int projection) const;
    int width(int projection) const;
};

struct Layer {
    std::vector<float> attention_norm, ffn_norm;  // [hidden]
    // What only some families have; empty in the others.
    std::vector<float> qkv_bias;              // [(heads + 2 * kv_heads) * head_dim]
    std::vector<float> query_norm, key_norm;  // [head_dim], of each head before it is turned
    PackedMatrix linear[kProjections];
};

// Cosines and sines of the rotary embedding, [positions, head_dim / 2] each.
struct RotaryTables {
    int positions;
    std::vector<float> cosines, sines;
};

// One sequence's share of a pass; its tokens follow those of the sequence before.
struct Sequence {
    int tokens;                    // new ones
    const std::int32_t* slots;     // [past + tokens] in the KV cache, those of the new tokens last
    int length;                    // past + tokens
    const Adapter* adapter;        // null: the base model alone
    int adapter_from;              // position of the first token that sees the adapter
    int wanted;                    // logits after this many of its last tokens
    const std::uint32_t* allowed;  // [vocab / 32, rounded up] a bit per token; null: all
};

class Decoder {
  public:
    // `kv_bits`, 16 or 8, of each number in the cache. Throws std::invalid_argument for sizes that the
    // kernels cannot handle, and std::bad_alloc.
    Decoder(const Shape& shape, RotaryTables rotary, const Kernels& kernels, int threads, int kv_slots,
            int kv_bits = 16);

    Layer& layer(int index) { return layers_.at(static_cast<std::size_t>(index)); }
    std::vector<float>& final_norm() { return final_norm_; }
    PackedMatrix& head() { return head_; }
    const Shape& shape() const { return shape_; }
    const Kernels& kernels() const { return kernels_; }
    int kv_slots() const { return cache_.slots(); }

    // Runs one pass, when all layers and the head are set. `hidden` [tokens, hidden] is embedded tokens;
    // `logits` [sum of wanted, vocab] is written, -inf where a token is not allowed. Throws
    // std::invalid_argument for a batch that breaks a rule, and std::bad_alloc; the cache is then as before.
    void forward(const float* hidden, const std::vector<Sequence>& sequences, float* logits);

    // The cache's slots from this one on hold nothing any more: their memory goes back to the system.
    void release(int first_slot) { cache_.release(first_slot); }

  private:
    static constexpr int kTasksPerThread = 4;

    struct Token {
        int position;
        const Sequence* sequence;
        const Adapter* adapter;  // null: the base model alone
    };
    // Consecutive tokens of a sequence that attend together.
    struct Piece {
        int first;
        int tokens;
    };
    struct Wanted {
        int token;
        const std::uint32_t* allowed;
    };

    bool complete() const;
    void check(const Sequence& sequence) const;
    void lay_out(const float* hidden, const std::vector<Sequence>& sequences);
    void cut_into_pieces(int first, int tokens);
    void reserve_room();

    // Phases. A projection's input is prepared (rounded, seen through the adapters), then multiplied.
    void normalize_and_prepare(int layer, Projection projection);
    void turn_and_cache(int layer);
    void finish_queries_keys(const Layer& layer, float* qkv) const;
    void attend(int layer);
    void settle_and_prepare(int layer);
    void gate_and_prepare(int layer);
    void multiply(int layer, Projection projection, float* out, bool add);
    void write_logits(float* logits);

    static int rounded_up(int count, int step) { return (count + step - 1) / step; }

    // Calls `task(first, last)` for stretches of tokens.
    template <class Task>
    void share_tokens(Task&& task);
    void prepare(int layer, Projection projection, const float* x, int first, int last);
    void see_through_adapters(int layer, Projection projection, const float* x, int first, int last);
    void multiply_tile(int layer, Projection projection, int tile, float* out, bool add);
    void add_adapters(int layer, Projection projection, int first_tile, int last_tile, float* out) const;
    // Where the tokens from `first` on that have its adapter end.
    int end_of_adapter(int first, int last) const;
    void write_logit_tile(int tile, float* logits);
    void write_logit_row(int row, int tile, const float* sums, float* logits) const;
    std::uint32_t allowed_columns(int row, int tile) const;
    void share_out_attention();
    void attend_piece(int layer, int kv_head, const Piece& piece, int share);
    void settle(int token);
    void spread(float* heads, int count) const;
    std::size_t lanes_at(int token, std::size_t target) const {
        return (static_cast<std::size_t>(token) * kMaxTargets + target) * most_rank_;
    }

    Shape shape_;
    RotaryTables rotary_;
    const Kernels& kernels_;
    std::vector<Layer> layers_;
    std::vector<float> final_norm_;
    PackedMatrix head_;
    KvStore cache_;

    // Of the pass under way.
    std::vector<Token> tokens_;
    std::vector<Wanted> wanted_;
    std::vector<Piece> pieces_;
    Aligned<float> hidden_;                     // [tokens, hidden], the residual stream
    Aligned<float> normed_;                     // [tokens, hidden]
    Aligned<float> qkv_;                        // [tokens, (heads + 2 * kv_heads) * head_dim]
    int shares_ = 1;                            // of a piece's attention: its stretches, or 1, all of them
    std::vector<AttentionSum> attention_sums_;  // [shares, tokens, heads]
    Aligned<float> mixed_;    // [shares, tokens, heads * head_dim], at last merged in the first
    Aligned<float> gate_up_;  // [tokens, 2 * ffn]
    Aligned<float> gated_;    // [tokens, ffn]
    Aligned<float> lanes_;    // [tokens, kMaxTargets, most_rank_]
    std::size_t most_rank_ = 0;
    Activations rounded_;  // [tokens]: the input of the next projection

    ThreadPool pool_;  // last: its threads end before what they use
};

}  // namespace townsfolk
