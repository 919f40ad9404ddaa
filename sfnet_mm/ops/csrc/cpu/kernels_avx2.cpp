// The CPU kernels for AVX2, FMA and F16C, chosen at run time where the processor has them.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#define SFNET_ISA avx2
// Compilers before GCC 13 read the macros of a file before they see the pragma.
#define SFNET_AVX2
#include "kernels.inl.h"

const sfnet_mm::cpu::Kernels* sfnet_mm::cpu::avx2_kernels() {
  const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                   __builtin_cpu_supports("f16c");
  return has ? &avx2::kernels : nullptr;
}
#else
#include "kernels.h"

const sfnet_mm::cpu::Kernels* sfnet_mm::cpu::avx2_kernels() { return nullptr; }
#endif
