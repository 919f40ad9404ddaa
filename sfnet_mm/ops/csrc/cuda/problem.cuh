// What all CUDA kernels of the flow warp work on. They know nothing of torch: the launches are in
// flow_warp.cu.
//
// T is the type of the maps, F the one of flow and gate, A that of positions and sums: double for
// double, else float. Pixels of one image are numbered in 32 bits, offsets are 64-bit.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#include "../coordinates.h"

namespace sfnet_mm {
namespace cuda {

constexpr int kThreads = 256;
// The blocks that a multiprocessor shall hold, at least. This is a budget of registers: 128 or 80
// for each thread. Without one the compiler saves registers, and waits for some of a thread's reads
// before it starts the others (docs/ops.md).
constexpr int kForwardBlocks = 2, kBackwardBlocks = 3;
constexpr int kTileW = 16, kTileH = 4;  // output pixels of a channels_last block
constexpr int kChunk = 8;               // channels of an NCHW thread
constexpr unsigned kFullWarp = 0xffffffffu;

SFNET_HD float to_acc(float x) { return x; }
SFNET_HD double to_acc(double x) { return x; }
SFNET_HD float to_acc(__half x) { return __half2float(x); }
SFNET_HD float to_acc(__nv_bfloat16 x) { return __bfloat162float(x); }
SFNET_HD void from_acc(float x, float* p) { *p = x; }
SFNET_HD void from_acc(double x, double* p) { *p = x; }
SFNET_HD void from_acc(float x, __half* p) { *p = __float2half_rn(x); }
SFNET_HD void from_acc(float x, __nv_bfloat16* p) { *p = __float2bfloat16_rn(x); }

// Up to 16 bytes that are read and written at once.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T item[V];
};

// V items, or zeros where nothing is to be read. Without a branch, so that the next reads need not
// wait for it.
template <typename T, int V>
SFNET_HD Pack<T, V> read_if(bool wanted, const T* from) {
  Pack<T, V> pack{};
  if (wanted) pack = *reinterpret_cast<const Pack<T, V>*>(from);
  return pack;
}

// Flow (N, 2 * maps, H, W) and gate (N, 1, H, W) are read where they lie.
struct Strides {
  int64_t n, c, h, w;
};

template <typename T, typename F>
struct Problem {
  using A = acc_t<T>;
  int32_t n, c, h, w;  // of the output
  int32_t map_h[2], map_w[2];
  Axis<A> ax[2], ay[2];
  const T* map[2];
  const F* flow;
  const F* gate;  // may be null
  Strides flow_at, gate_at;
  T* out;         // forward
  const T* grad;  // backward: of the output
  F* grad_flow;   // contiguous
  F* grad_gate;   // contiguous; null where gate is
};

template <typename T, typename F>
SFNET_HD Sample<acc_t<T>> sample_of(const Problem<T, F>& p, int m, int n, int i, int j) {
  using A = acc_t<T>;
  const F* const at =
      p.flow + n * p.flow_at.n + 2 * m * p.flow_at.c + i * p.flow_at.h + j * p.flow_at.w;
  return take_sample<A>(p.ax[m], p.ay[m], j, i, A(to_acc(at[0])), A(to_acc(at[p.flow_at.c])));
}

// The share of map m in the blend.
template <typename T, typename F>
SFNET_HD acc_t<T> share_of(const Problem<T, F>& p, int m, int n, int i, int j) {
  using A = acc_t<T>;
  if (p.gate == nullptr) return A(1);
  const A gate = A(to_acc(p.gate[n * p.gate_at.n + i * p.gate_at.h + j * p.gate_at.w]));
  return m == 0 ? gate : A(1) - gate;
}

}  // namespace cuda
}  // namespace sfnet_mm
