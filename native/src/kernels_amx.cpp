#define TOWNSFOLK_KERNELS_NAME "amx"
#include "simd_avx512.hpp"
// The implementation is written against the `Simd` above.
#include "linear_amx.hpp"

namespace townsfolk {
namespace {
using Four = Tiles<FourBitTiles>;
using Eight = Tiles<EightBitTiles>;
}  // namespace
}  // namespace townsfolk

#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* amx_kernels() { return &kTable; }

}  // namespace townsfolk
