// Vectors that begin with a cache line: a tile of floats fills one, and a load across two costs two.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace townsfolk {

constexpr std::size_t kLineBytes = 64;

template <class T>
struct LineAllocator {
    using value_type = T;

    LineAllocator() = default;
    template <class Other>
    LineAllocator(const LineAllocator<Other>&) {}

    T* allocate(std::size_t count) {
        return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{kLineBytes}));
    }
    void deallocate(T* memory, std::size_t) { ::operator delete (memory, std::align_val_t{kLineBytes}); }
    friend bool operator==(const LineAllocator&, const LineAllocator&) { return true; }
};

template <class T>
using Aligned = std::vector<T, LineAllocator<T>>;

}  // namespace townsfolk
