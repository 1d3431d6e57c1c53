#include "simd_portable.hpp"
// The implementation is written against the `Simd` above.
#include "kernels_impl.hpp"
#include "linear_groups.hpp"
#include "linear_rows.hpp"

namespace townsfolk {

const Kernels* portable_kernels() { return &kTable<FourBitGroups, EightBitRows>; }

}  // namespace townsfolk
