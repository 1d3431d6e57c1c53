// Chooses the kernels for the processor that it runs on.
#include <cstring>
#include <initializer_list>

#if defined(TOWNSFOLK_X86)
#include <cpuid.h>
#endif
#if defined(TOWNSFOLK_X86) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(TOWNSFOLK_ARM64) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

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

// Linux lets a process use the tile registers only after it has asked for them.
const Kernels* usable_amx() {
#if defined(__x86_64__) && defined(TOWNSFOLK_X86) && defined(__linux__)
    constexpr int kRequest = 0x1023, kTileData = 18;
    constexpr unsigned kTiles = 1u << 24, kTileProducts = 1u << 25;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!usable_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return nullptr;
    if (!(d & kTiles) || !(d & kTileProducts)) return nullptr;
    if (syscall(SYS_arch_prctl, kRequest, kTileData) == 0) return amx_kernels();
#endif
    return nullptr;
}

const Kernels* usable_avx2() {
#if defined(__x86_64__) && defined(TOWNSFOLK_X86)
    // Clang 14 does not know f16c by name.
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return nullptr;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C)) return avx2_kernels();
#endif
    return nullptr;
}

const Kernels* usable_dotprod() {
#if defined(TOWNSFOLK_ARM64) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) return dotprod_kernels();
#elif defined(TOWNSFOLK_ARM64) && defined(__APPLE__)
    return dotprod_kernels();  // every processor of theirs since 2018
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
    for (const Kernels* kernels : {usable_amx(), usable_avx512(), usable_avx2(), usable_dotprod(),
                                   usable_neon(), portable_kernels()}) {
        if (kernels && (!name || std::strcmp(name, kernels->name) == 0)) return kernels;
    }
    return nullptr;
}

}  // namespace townsfolk
