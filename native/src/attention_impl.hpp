// Attention of one token's queries over the past of a key-value head, over the `Simd` of the file that
// includes this; what kernels_impl.hpp says of linking holds here too.
#pragma once

#include "exponential.hpp"
#include "kernels.hpp"

namespace townsfolk {
namespace {

constexpr float kLowest = -__builtin_huge_valf();

// A softmax that is refined from one stretch of positions to the next.
struct RunningSoftmax {
    float most = kLowest;
    float total = 0;

    // Scores of the next positions -> their weights; returns the factor for what was mixed before.
    float refine(float* scores) {
        const Floats values = Simd::load(scores);
        const float peak = Simd::largest(values);
        const float next = peak > most ? peak : most;
        const Floats weights = exponential(Simd::subtract(values, Simd::fill(next)));
        float factors[kTile];
        Simd::store(factors, exponential(Simd::fill(most - next)));
        Simd::store(scores, weights);
        most = next;
        total = total * factors[0] + Simd::sum(weights);
        return factors[0];
    }
};

// Dot products of one query with `kTile` keys.
void score(const float* query, const float* keys, int head_dim, float* scores) {
    Floats totals[kTile];
    for (int k = 0; k < kTile; ++k) {
        totals[k] = Simd::fill(0);
        for (int i = 0; i < head_dim; i += kTile) {
            totals[k] = Simd::fused(Simd::load(query + i), Simd::load(keys + k * head_dim + i), totals[k]);
        }
    }
    Simd::store(scores, Simd::sums(totals));
}

void mix(const float* weights, const float* values, int count, int head_dim, float factor, float* mixed) {
    for (int i = 0; i < head_dim; i += kTile) {
        Floats total = Simd::multiply(Simd::load(mixed + i), Simd::fill(factor));
        for (int k = 0; k < count; ++k) {
            total = Simd::fused(Simd::fill(weights[k]), Simd::load(values + k * head_dim + i), total);
        }
        Simd::store(mixed + i, total);
    }
}

// Widens the keys and values of `count` slots; what is beyond repeats the first slot.
void fetch(const AttentionHead& head, int first, int count) {
    for (int k = 0; k < kTile; ++k) {
        const std::int64_t slot = head.slots[first + (k < count ? k : 0)];
        const Half* key = head.cache + slot * 2 * head.head_dim;
        for (int i = 0; i < head.head_dim; i += kTile) {
            Simd::store(head.scratch + k * head.head_dim + i, Simd::load(key + i));
            Simd::store(head.scratch + (kTile + k) * head.head_dim + i, Simd::load(key + head.head_dim + i));
        }
    }
}

void attend(const AttentionHead& head) {
    const int size = head.head_dim;
    RunningSoftmax softmax[kMaxGroup];
    for (int i = 0; i < head.group * size; ++i) head.mixed[i] = 0;
    for (int first = 0; first < head.length; first += kTile) {
        const int count = head.length - first < kTile ? head.length - first : kTile;
        fetch(head, first, count);
        for (int query = 0; query < head.group; ++query) {
            float scores[kTile];
            score(head.queries + query * size, head.scratch, size, scores);
            for (int k = count; k < kTile; ++k) scores[k] = kLowest;
            const float factor = softmax[query].refine(scores);
            mix(scores, head.scratch + kTile * size, count, size, factor, head.mixed + query * size);
        }
    }
    for (int query = 0; query < head.group; ++query) {
        float* mixed = head.mixed + query * size;
        for (int i = 0; i < size; ++i) mixed[i] /= softmax[query].total;
    }
}

}  // namespace
}  // namespace townsfolk
