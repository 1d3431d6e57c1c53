#include "kv_store.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "aligned.hpp"

namespace townsfolk {
namespace {

// Room for numbers, which the system backs with memory page by page as they are written.
template <class Number>
Number* room(std::size_t count) {
    const std::size_t lines = (count * sizeof(Number) + kLineBytes - 1) / kLineBytes;
    void* memory = std::aligned_alloc(kLineBytes, lines * kLineBytes);
    if (!memory) throw std::bad_alloc();
    return static_cast<Number*>(memory);
}

// The whole pages between; they read as zeros until they are written again.
void give_back(void* first, void* last) {
    const std::uintptr_t page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const std::uintptr_t start = (reinterpret_cast<std::uintptr_t>(first) + page - 1) / page * page;
    const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(last) / page * page;
    if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

}  // namespace

void KvStore::Free::operator()(void* memory) const { std::free(memory); }

KvStore::KvStore(int layers, int kv_heads, int head_dim, int slots, int bits)
    : layers_(layers), kv_heads_(kv_heads), head_dim_(head_dim), slots_(slots), bits_(bits) {
    const std::size_t vectors = first(layers, 0);
    vectors_.reset(room<std::uint8_t>(vectors * vector_bytes()));
    if (bits == 8) scales_.reset(room<Half>(vectors * head_dim / kTile));
}

std::size_t KvStore::first(int layer, int kv_head) const {
    return (static_cast<std::size_t>(layer) * kv_heads_ + kv_head) * 2 * slots_;
}

KvHead KvStore::head(int layer, int kv_head) const {
    const std::size_t keys = first(layer, kv_head), values = keys + slots_;
    const std::size_t bytes = vector_bytes();
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

void KvStore::release(int first_slot) {
    const std::size_t tiles = head_dim_ / kTile;
    for (std::size_t start = 0; start < first(layers_, 0); start += slots_) {
        const std::size_t begin = start + first_slot, end = start + slots_;
        give_back(vectors_.get() + begin * vector_bytes(), vectors_.get() + end * vector_bytes());
        if (scales_) give_back(scales_.get() + begin * tiles, scales_.get() + end * tiles);
    }
}

void KvStore::write(const Kernels& kernels, std::size_t index, const float* vector) {
    std::uint8_t* place = vectors_.get() + index * vector_bytes();
    if (scales_) {
        kernels.to_bytes(vector, head_dim_, reinterpret_cast<std::int8_t*>(place),
                         scales_.get() + index * head_dim_ / kTile);
    } else {
        kernels.to_half(vector, head_dim_, reinterpret_cast<Half*>(place));
    }
}

}  // namespace townsfolk
