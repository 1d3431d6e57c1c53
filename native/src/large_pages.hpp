// Memory for weights, in large pages where the system has them: with small ones, a pass that reads all
// weights spends a good part of its time looking up where they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace townsfolk {

// Bytes that are written once and freed with their owner.
class LargePages {
  public:
    LargePages() = default;
    // From any thread; throws std::bad_alloc. They begin at a multiple of 64.
    explicit LargePages(std::size_t size);

    std::uint8_t* data() const { return bytes_.get(); }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

  private:
    std::shared_ptr<std::uint8_t> bytes_;
    std::size_t size_ = 0;
};

}  // namespace townsfolk
