// The CPU kernels for whatever the compiler targets by default.
#define SFNET_ISA baseline
#include "kernels.inl.h"

const sfnet_mm::cpu::Kernels* sfnet_mm::cpu::default_kernels() { return &baseline::kernels; }
