// Attention of some tokens' queries over the past of a key-value head, over the `Simd` of the file that
// includes this; what kernels_impl.hpp says of linking holds here too.
//
// Positions are taken in stretches of `kStretch`, counted from the start of the sequence. Each stretch is
// attended to on its own (scores, softmax, mixed values), and what comes of it is merged in order, so a
// query's arithmetic is the same whoever shares its keys and whichever thread has which stretch.
#pragma once

#include "exponential.hpp"
#include "kernels.hpp"

namespace townsfolk {
namespace {

constexpr float kLowest = -__builtin_huge_valf();

// Where the query numbered `index` of the tokens' `tokens * group` is, and what comes of it.
inline const float* query_at(const AttentionHead& head, int index) {
    return head.queries + index / head.group * head.query_stride +
           static_cast<std::size_t>(index % head.group) * head.head_dim;
}
inline std::size_t result_at(const AttentionHead& head, int index) {
    return static_cast<std::size_t>(index / head.group) * head.heads + index % head.group;
}
inline AttentionSum& sum_at(const AttentionHead& head, int index) {
    return head.sums[result_at(head, index)];
}
inline float* mixed_at(const AttentionHead& head, int index) {
    return head.mixed + result_at(head, index) * head.head_dim;
}

// Positions that a token sees of the stretch from `first` on.
inline int visible(const AttentionHead& head, int token, int first) {
    const int seen = head.length + token - first;
    return seen < kStretch ? seen : kStretch;
}

// Keys or values of a stretch, widened as they are read.
template <class Stored>
struct Stretch {
    const Stored* vectors;       // [slots, size]
    const float* scales;         // [kStretch, size / kTile], for integers
    const std::int32_t* places;  // [kStretch] slots; those that fill up the last tile repeat the last one
    int count;
    int size;

    const Stored* at(int position) const {
        return vectors + static_cast<std::size_t>(places[position]) * size;
    }
    // A tile of a vector, from element `i` on.
    Floats load(int position, int i) const {
        const Floats numbers = Simd::load(at(position) + i);
        if constexpr (sizeof(Stored) > 1) return numbers;
        return Simd::multiply(numbers, Simd::fill(scales[(position * size + i) / kTile]));
    }
    // Asks for a vector that will be read soon.
    void prefetch(int position) const {
        constexpr int line = 64 / sizeof(Stored);
        for (int i = 0; i < size; i += line) __builtin_prefetch(at(position) + i);
    }
};

// Scales of the vectors in all places of a stretch, from [slots, tiles].
void widen_scales(const Half* scales, int tiles, const std::int32_t* places, float* out) {
    alignas(64) Half own[kStretch * kMaxHeadDim / kTile];
    for (int k = 0; k < kStretch; ++k) {
        const Half* vector = scales + static_cast<std::size_t>(places[k]) * tiles;
        for (int i = 0; i < tiles; ++i) own[k * tiles + i] = vector[i];
    }
    for (int i = 0; i < kStretch * tiles; i += kTile) Simd::store(out + i, Simd::load(own + i));
}

// Sums, lane by lane, of the products of each query with two keys.
template <int Q, class Stored>
void multiply_pair(const float* const* queries, const Stretch<Stored>& keys, int position,
                   Floats (*sums)[2]) {
    for (int q = 0; q < Q; ++q) sums[q][0] = sums[q][1] = Simd::fill(0);
    for (int i = 0; i < keys.size; i += kTile) {
        const Floats a = keys.load(position, i), b = keys.load(position + 1, i);
        for (int q = 0; q < Q; ++q) {
            const Floats query = Simd::load(queries[q] + i);
            sums[q][0] = Simd::fused(query, a, sums[q][0]);
            sums[q][1] = Simd::fused(query, b, sums[q][1]);
        }
    }
}

// Dot products of the queries with the keys; the last tile is filled up with the lowest score. Meanwhile the
// values come nearer.
template <int Q, class Stored>
void score(const float* const* queries, const Stretch<Stored>& keys, const Stretch<Stored>& values,
           float (*scores)[kStretch]) {
    for (int first = 0; first < keys.count; first += kTile) {
        Floats totals[Q][kTile];
        for (int k = 0; k < kTile; k += 2) {
            for (int own = first + k; own < first + k + 2; ++own) {
                if (own + kTile < kStretch) keys.prefetch(own + kTile);
                values.prefetch(own);
            }
            Floats sums[Q][2];
            multiply_pair<Q>(queries, keys, first + k, sums);
            for (int q = 0; q < Q; ++q) totals[q][k] = sums[q][0], totals[q][k + 1] = sums[q][1];
        }
        for (int q = 0; q < Q; ++q) Simd::store(scores[q] + first, Simd::sums(totals[q]));
    }
    for (int q = 0; q < Q; ++q) {
        for (int k = keys.count; k % kTile != 0; ++k) scores[q][k] = kLowest;
    }
}

// Scores -> weights.
AttentionSum weigh(float* scores, int count) {
    Floats most = Simd::fill(kLowest), total = Simd::fill(0);
    for (int k = 0; k < count; k += kTile) most = Simd::larger(most, Simd::load(scores + k));
    const float peak = Simd::largest(most);
    for (int k = 0; k < count; k += kTile) {
        const Floats weights = exponential(Simd::subtract(Simd::load(scores + k), Simd::fill(peak)));
        total = Simd::add(total, weights);
        Simd::store(scores + k, weights);
    }
    return {peak, Simd::sum(total)};
}

// A tile, from element `at` on, of the values mixed with the weights of Q queries. Even and odd positions are
// added up apart: that many sums keep the arithmetic busy and still fit into the registers.
template <int Q, class Stored>
void mix_tile(const float (*weights)[kStretch], const Stretch<Stored>& values, int at,
              float (*mixed)[kMaxHeadDim]) {
    Floats totals[2][Q];
    for (int q = 0; q < Q; ++q) totals[0][q] = totals[1][q] = Simd::fill(0);
    for (int k = 0; k < values.count; k += 2) {
        for (int odd = 0; odd < 2; ++odd) {
            const Floats value = values.load(k + odd, at);
            for (int q = 0; q < Q; ++q) {
                totals[odd][q] = Simd::fused(Simd::fill(weights[q][k + odd]), value, totals[odd][q]);
            }
        }
    }
    for (int q = 0; q < Q; ++q) Simd::store(mixed[q] + at, Simd::add(totals[0][q], totals[1][q]));
}

// Merges what comes of a later stretch into what came of those before.
void merge(const AttentionSum& later, const float* later_mixed, int size, AttentionSum& sum, float* mixed) {
    const float most = later.most > sum.most ? later.most : sum.most;
    const Floats before = exponential(Simd::fill(sum.most - most));
    const Floats after = exponential(Simd::fill(later.most - most));
    for (int i = 0; i < size; i += kTile) {
        const Floats old = Simd::multiply(Simd::load(mixed + i), before);
        Simd::store(mixed + i, Simd::fused(Simd::load(later_mixed + i), after, old));
    }
    float factors[2][kTile];
    Simd::store(factors[0], before);
    Simd::store(factors[1], after);
    sum = {most, sum.total * factors[0][0] + later.total * factors[1][0]};
}

// One stretch for Q queries, from the one numbered `query` on.
template <int Q, class Stored>
void attend_together(const AttentionHead& head, int query, const Stretch<Stored>& keys,
                     const Stretch<Stored>& values) {
    const float* queries[Q];
    alignas(64) float scores[Q][kStretch], mixed[Q][kMaxHeadDim];
    for (int q = 0; q < Q; ++q) queries[q] = query_at(head, query + q);
    score<Q>(queries, keys, values, scores);
    AttentionSum sums[Q];
    for (int q = 0; q < Q; ++q) sums[q] = weigh(scores[q], keys.count);
    for (int at = 0; at < keys.size; at += kTile) mix_tile<Q>(scores, values, at, mixed);
    for (int q = 0; q < Q; ++q) {
        merge(sums[q], mixed[q], keys.size, sum_at(head, query + q), mixed_at(head, query + q));
    }
}

// One stretch of `count` positions for `queries` queries, all of which see it whole.
template <class Stored>
void attend_stretch(const AttentionHead& head, int query, int queries, int first, int count) {
    const KvHead& past = head.past;
    std::int32_t places[kStretch];
    for (int k = 0; k < kStretch; ++k) places[k] = head.slots[first + (k < count ? k : count - 1)];
    alignas(64) float scales[2][kStretch * kMaxHeadDim / kTile];
    if constexpr (sizeof(Stored) == 1) {
        widen_scales(past.key_scales, head.head_dim / kTile, places, scales[0]);
        widen_scales(past.value_scales, head.head_dim / kTile, places, scales[1]);
    }
    const Stretch<Stored> keys{static_cast<const Stored*>(past.keys), scales[0], places, count,
                               head.head_dim};
    const Stretch<Stored> values{static_cast<const Stored*>(past.values), scales[1], places, count,
                                 head.head_dim};
    // Four are better taken two by two than as three and one.
    for (; queries >= Simd::kQueries && queries != 4; queries -= Simd::kQueries, query += Simd::kQueries) {
        attend_together<Simd::kQueries>(head, query, keys, values);
    }
    for (; queries >= 3 && queries != 4; queries -= 3, query += 3) {
        attend_together<3>(head, query, keys, values);
    }
    for (; queries >= 2; queries -= 2, query += 2) attend_together<2>(head, query, keys, values);
    if (queries) attend_together<1>(head, query, keys, values);
}

// One stretch for all tokens: together where they see all of it, else each on its own.
template <class Stored>
void attend_tokens(const AttentionHead& head, int first) {
    int token = 0;
    while (token < head.tokens) {
        const int count = visible(head, token, first);
        int end = token + 1;
        while (end < head.tokens && visible(head, end, first) == count) ++end;
        const int queries = (end - token) * head.group;
        if (count > 0) attend_stretch<Stored>(head, token * head.group, queries, first, count);
        token = end;
    }
}

void attend(const AttentionHead& head, int first, int last) {
    for (int query = 0; query < head.tokens * head.group; ++query) {
        sum_at(head, query) = {kLowest, 0};
        float* mixed = mixed_at(head, query);
        for (int i = 0; i < head.head_dim; ++i) mixed[i] = 0;
    }
    for (; first < last; first += kStretch) {
        if (head.past.key_scales) {
            attend_tokens<std::int8_t>(head, first);
        } else {
            attend_tokens<Half>(head, first);
        }
    }
}

void settle(const AttentionSum& sum, int size, float* mixed) {
    const Floats total = Simd::fill(sum.total);
    for (int i = 0; i < size; i += kTile) Simd::store(mixed + i, Simd::divide(Simd::load(mixed + i), total));
}

}  // namespace
}  // namespace townsfolk
