#include "thread_pool.hpp"

#include <chrono>

namespace townsfolk {
namespace {

constexpr std::uint64_t kPhase = std::uint64_t{1} << 32;
constexpr std::uint64_t kTasks = kPhase - 1;
// Longer than any phase that one thread does alone, far shorter than the pause between two passes.
constexpr std::chrono::microseconds kSpin{200};
constexpr int kLooksPerClock = 64;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits for the ticket to become another than `seen`; gives up after `kSpin`.
bool spin(const std::atomic<std::uint64_t>& ticket, std::uint64_t seen) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
        for (int look = 0; look < kLooksPerClock; ++look) {
            if (ticket.load(std::memory_order_acquire) != seen) return true;
            pause();
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
    stopping_.store(true);
    ticket_.fetch_add(kPhase);
    ticket_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::start(Call call, const void* context, int count) {
    if (workers_.empty() || count <= 1) {
        for (int i = 0; i < count; ++i) call(context, i);
        return;
    }
    call_.store(call, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    undone_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
    const std::uint64_t phase = (ticket_.load(std::memory_order_relaxed) & ~kTasks) + kPhase;
    ticket_.store(phase | static_cast<std::uint64_t>(count));
    ticket_.notify_all();
    while (take_one(ticket_.load(std::memory_order_acquire))) {
    }
    while (undone_.load(std::memory_order_acquire)) pause();
}

bool ThreadPool::take_one(std::uint64_t ticket) {
    if (!(ticket & kTasks)) return false;
    const Call call = call_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    if (ticket_.compare_exchange_strong(ticket, ticket - 1, std::memory_order_acq_rel)) {
        call(context, static_cast<int>((ticket & kTasks) - 1));
        undone_.fetch_sub(1, std::memory_order_release);
    }
    return true;
}

void ThreadPool::work() {
    while (true) {
        // The ticket first: whoever reads the last one, after which none comes, sees that it is over.
        const std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
        if (stopping_.load(std::memory_order_relaxed)) return;
        if (!take_one(ticket) && !spin(ticket_, ticket)) ticket_.wait(ticket);
    }
}

}  // namespace townsfolk
