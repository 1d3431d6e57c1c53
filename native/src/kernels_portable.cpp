#include "simd_portable.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* portable_kernels() { return &kTable; }

}  // namespace townsfolk
