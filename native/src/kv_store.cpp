#include "kv_store.hpp"

#include <cstdlib>
#include <new>

namespace townsfolk {
namespace {

// Zeros, which the system backs with memory page by page as they are written.
template <class Number>
Number* zeros(std::size_t count) {
    Number* memory = static_cast<Number*>(std::calloc(count, sizeof(Number)));
    if (!memory) throw std::bad_alloc();
    return memory;
}

}  // namespace

void KvStore::Free::operator()(void* memory) const { std::free(memory); }

KvStore::KvStore(int layers, int kv_heads, int head_dim, int slots, int bits)
    : kv_heads_(kv_heads), head_dim_(head_dim), slots_(slots), bits_(bits) {
    const std::size_t vectors = first(layers, 0);
    vectors_.reset(zeros<std::uint8_t>(vectors * head_dim * bits / 8));
    if (bits == 8) scales_.reset(zeros<Half>(vectors * head_dim / kTile));
}

std::size_t KvStore::first(int layer, int kv_head) const {
    return (static_cast<std::size_t>(layer) * kv_heads_ + kv_head) * 2 * slots_;
}

KvHead KvStore::head(int layer, int kv_head) const {
    const std::size_t keys = first(layer, kv_head), values = keys + slots_;
    const std::size_t bytes = static_cast<std::size_t>(head_dim_) * bits_ / 8;
    const std::size_t tiles = head_dim_ / kTile;
    return {vectors_.get() + keys * bytes, vectors_.get() + values * bytes,
            scales_ ? scales_.get() + keys * tiles : nullptr,
            scales_ ? scales_.get() + values * tiles : nullptr};
}

void KvStore::write(const Kernels& kernels, int layer, int kv_head, std::int32_t slot, const float* key,
                    const float* value) {
    const std::size_t index = first(layer, kv_head) + slot;
    write(kernels, index, key);
    write(kernels, index + slots_, value);
}

void KvStore::write(const Kernels& kernels, std::size_t index, const float* vector) {
    std::uint8_t* place = vectors_.get() + index * head_dim_ * bits_ / 8;
    if (scales_) {
        kernels.to_bytes(vector, head_dim_, reinterpret_cast<std::int8_t*>(place),
                         scales_.get() + index * head_dim_ / kTile);
    } else {
        kernels.to_half(vector, head_dim_, reinterpret_cast<Half*>(place));
    }
}

}  // namespace townsfolk
