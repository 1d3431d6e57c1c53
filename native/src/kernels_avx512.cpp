#define TOWNSFOLK_KERNELS_NAME "avx512vnni"
#include "simd_avx512.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"
#include "linear_planes.hpp"
#include "linear_rows.hpp"

namespace townsfolk {

const Kernels* avx512_kernels() { return &kTable<FourBitPlanes, EightBitRows>; }

}  // namespace townsfolk
