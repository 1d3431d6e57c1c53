#include "large_pages.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>

#include "aligned.hpp"

namespace townsfolk {
namespace {

constexpr std::size_t kPage = std::size_t{2} << 20;
// Shared by several owners, none of which would fill its last page. What nobody writes costs no memory.
constexpr std::size_t kChunk = 16 * kPage;

std::size_t rounded_up(std::size_t size, std::size_t step) { return (size + step - 1) / step * step; }

std::shared_ptr<std::uint8_t> new_chunk(std::size_t size) {
    void* memory = std::aligned_alloc(kPage, size);
    if (!memory) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);  // a wish: where it is refused, small pages serve
#endif
    return {static_cast<std::uint8_t*>(memory), std::free};
}

std::mutex mutex;
std::weak_ptr<std::uint8_t> newest;  // alive as long as one of its owners
std::size_t used, capacity;          // of the newest

}  // namespace

LargePages::LargePages(std::size_t size) : size_(size) {
    const std::lock_guard lock(mutex);
    std::shared_ptr<std::uint8_t> chunk = newest.lock();
    const std::size_t taken = rounded_up(size, kLineBytes);
    if (!chunk || capacity - used < taken) {
        const std::size_t most = std::max(kChunk, rounded_up(taken, kPage));
        newest = chunk = new_chunk(most);
        used = 0, capacity = most;
    }
    bytes_ = {chunk, chunk.get() + used};
    used += taken;
}

}  // namespace townsfolk
