#define TOWNSFOLK_KERNELS_NAME "amx"
#include "simd_avx512.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"
#include "linear_amx.hpp"

namespace townsfolk {

const Kernels* amx_kernels() { return &kTable<Tiles<FourBitTiles>, Tiles<EightBitTiles>>; }

}  // namespace townsfolk
