// Chooses the kernels for the processor that it runs on.
#include <cstring>
#include <initializer_list>

#include "kernels.hpp"

namespace townsfolk {
namespace {

const Kernels* usable_avx512() {
#if defined(__x86_64__) && defined(TOWNSFOLK_X86)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
        return avx512_kernels();
    }
#endif
    return nullptr;
}

const Kernels* usable_avx2() {
#if defined(__x86_64__) && defined(TOWNSFOLK_X86)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
        return avx2_kernels();
    }
#endif
    return nullptr;
}

const Kernels* usable_neon() {
#if defined(TOWNSFOLK_ARM64)
    return neon_kernels();
#else
    return nullptr;
#endif
}

}  // namespace

const Kernels* find_kernels(const char* name) {
    for (const Kernels* kernels : {usable_avx512(), usable_avx2(), usable_neon(), portable_kernels()}) {
        if (kernels && (!name || std::strcmp(name, kernels->name) == 0)) return kernels;
    }
    return nullptr;
}

}  // namespace townsfolk
