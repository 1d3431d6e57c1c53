#include "simd_avx2.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* avx2_kernels() { return &kTable; }

}  // namespace townsfolk
