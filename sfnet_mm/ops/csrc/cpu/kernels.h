// The interface between the torch glue and the CPU kernels. It knows nothing of torch, so that the
// kernels can be compiled once per instruction set without pulling headers into that set.
#pragma once

#include <stdint.h>

namespace sfnet_mm {
namespace cpu {

enum class Kind { f32, f64, f16, bf16 };

// A warp of one map (maps == 1) or the gated blend of two (maps == 2: high, low). Maps, output and
// their gradients hold `kind`, channels last; flow, gate and their gradients hold the
// coordinate type (double for f64, else float) as contiguous (N, 2 * maps, H, W) and (N, 1, H, W).
struct Problem {
  Kind kind;
  int maps;
  int64_t n, c, h, w;  // of the output
  int64_t map_h[2], map_w[2];
  const void* map[2];
  const void* flow;
  const void* gate;  // may be null
  void* out;         // forward
  const void* grad;  // backward: of the output
  void* grad_map[2];
  void* grad_flow;
  void* grad_gate;  // null where gate is
};

// Scratch of the gradient of one map of one image; built by `index`, read by `scatter`.
struct Index {
  void* entries;   // h * w entries of entry_bytes
  int64_t* first;  // map_h + 2 numbers, the first entry of each row
};

// Kernels are called with ranges that the caller spreads over threads. Every result is summed in an
// order that does not depend on how the ranges are cut.
struct Kernels {
  const char* name;
  // rows of (n * h)
  void (*forward)(const Problem&, int64_t begin, int64_t end);
  void (*backward_flow)(const Problem&, int64_t begin, int64_t end);
  int64_t (*entry_bytes)(const Problem&);
  void (*index)(const Problem&, int map, int64_t image, Index*);
  // Map rows begin to end of `channels` from `channel`; `buffer` has scatter_bytes().
  int64_t (*scatter_bytes)(const Problem&, int map, int64_t channels);
  void (*scatter)(const Problem&, int map, int64_t image, const Index&, int64_t begin, int64_t end,
                  int64_t channel, int64_t channels, void* buffer);
};

const Kernels* default_kernels();
const Kernels* avx2_kernels();  // null where the compiler or the target has none

}  // namespace cpu
}  // namespace sfnet_mm
