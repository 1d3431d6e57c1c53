#define TOWNSFOLK_KERNELS_NAME "neon"
#include "simd_neon.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* neon_kernels() { return &kTable; }

}  // namespace townsfolk
