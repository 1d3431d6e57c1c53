// Keys and values of all tokens, for each layer and key-value head, in slots that the caller numbers.
// It refuses to know which sequence a slot belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels.hpp"

namespace townsfolk {

class KvStore {
  public:
    // `bits` of a number: 16, a float; or 8, an integer, with a 16-bit scale for each tile. Throws
    // std::bad_alloc. What is never written costs no memory.
    KvStore(int layers, int kv_heads, int head_dim, int slots, int bits);

    int slots() const { return slots_; }
    int bits() const { return bits_; }
    KvHead head(int layer, int kv_head) const;
    // Rounds a token's key and value [head_dim] and keeps them.
    void write(const Kernels& kernels, int layer, int kv_head, std::int32_t slot, const float* key,
               const float* value);
    // Gives the memory of the slots from this one on back to the system, page by page: what they held is
    // gone.
    void release(int first_slot);

  private:
    struct Free {
        void operator()(void* memory) const;
    };
    // Vectors before those of this head's keys; those of its values come after them.
    std::size_t first(int layer, int kv_head) const;
    void write(const Kernels& kernels, std::size_t index, const float* vector);

    std::size_t vector_bytes() const { return static_cast<std::size_t>(head_dim_) * bits_ / 8; }

    int layers_, kv_heads_, head_dim_, slots_, bits_;
    std::unique_ptr<std::uint8_t, Free> vectors_;  // [layers, kv_heads, key or value, slots, head_dim]
    std::unique_ptr<Half, Free> scales_;  // [layers, kv_heads, key or value, slots, tiles]; null for 16 bits
};

}  // namespace townsfolk
