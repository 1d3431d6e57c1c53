#define TOWNSFOLK_KERNELS_NAME "neon"
#include "simd_neon.hpp"
// The implementation is written against the `Simd` above.
#include "linear_groups.hpp"
#include "linear_rows.hpp"

namespace townsfolk {
namespace {
using Four = FourBitGroups;
using Eight = EightBitRows;
}  // namespace
}  // namespace townsfolk

#include "kernels_impl.hpp"

namespace townsfolk {

const Kernels* neon_kernels() { return &kTable; }

}  // namespace townsfolk
