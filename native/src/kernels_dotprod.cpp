#define TOWNSFOLK_KERNELS_NAME "neon_dotprod"
#include "simd_neon.hpp"
// The implementation is written against the `Simd` above, here compiled for the dot products of ARMv8.2.
#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* dotprod_kernels() { return &kTable; }

}  // namespace townsfolk
