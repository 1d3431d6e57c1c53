#include "simd_avx512.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* avx512_kernels() { return &kTable; }

}  // namespace townsfolk
