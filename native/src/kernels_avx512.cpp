#define TOWNSFOLK_KERNELS_NAME "avx512vnni"
#include "simd_avx512.hpp"
// The implementation is written against the `Simd` above.
#include "linear_planes.hpp"
#include "linear_rows.hpp"

namespace townsfolk {
namespace {
using Four = FourBitPlanes;
using Eight = EightBitRows;
}  // namespace
}  // namespace townsfolk

#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* avx512_kernels() { return &kTable; }

}  // namespace townsfolk
