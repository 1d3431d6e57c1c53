// Threads that share out the tasks of one phase after another.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace townsfolk {

// Between phases, which are microseconds apart, a thread spins; when nothing comes it sleeps. A thread that
// the system holds back delays nobody: the others take its tasks.
class ThreadPool {
  public:
    // The calling thread works too: `threads` of 1 starts none.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls task(i) once for each i below `count`, in any order; returns when all are done. From one thread
    // at a time; `task` must not throw.
    template <class Task>
    void run(int count, Task&& task) {
        using Plain = std::remove_reference_t<Task>;
        start([](const void* context, int index) { (*static_cast<const Plain*>(context))(index); }, &task,
              count);
    }

  private:
    using Call = void (*)(const void* context, int index);

    void start(Call call, const void* context, int count);
    void work();
    bool take_one(std::uint64_t ticket);

    // Phase number in the upper half, tasks not yet taken in the lower. `call_` and `context_` change only
    // while no task is left, and the phase number with them: who takes a task by exchanging a ticket that
    // has one read those of its phase.
    std::atomic<std::uint64_t> ticket_{0};
    std::atomic<Call> call_{nullptr};
    std::atomic<const void*> context_{nullptr};
    std::atomic<std::uint32_t> undone_{0};
    std::atomic<bool> stopping_{false};
    std::vector<std::thread> workers_;
};

}  // namespace townsfolk
