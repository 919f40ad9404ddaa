// CUDA kernels of the flow warp. They know nothing of torch: the launches are in flow_warp.cu.
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
constexpr int kTileW = 16, kTileH = 4;  // output pixels of a channels_last block
constexpr int kChunk = 8;               // channels of an NCHW thread
constexpr unsigned kFullWarp = 0xffffffffu;

template <typename T> struct AccOf { using type = float; };
template <> struct AccOf<double> { using type = double; };
template <typename T> using acc_t = typename AccOf<T>::type;

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

// --- channels_last: `lanes` neighboring threads share a pixel, V channels each at a time -------

template <typename T, typename F, int MAPS, int V>
__global__ void __launch_bounds__(kThreads) forward_cl(const Problem<T, F> p, int lanes) {
  using A = acc_t<T>;
  const int lane = threadIdx.x % lanes, n = blockIdx.z;
  for (int slot = threadIdx.x / lanes; slot < kTileW * kTileH; slot += kThreads / lanes) {
    const int j = blockIdx.x * kTileW + slot % kTileW, i = blockIdx.y * kTileH + slot / kTileW;
    if (i >= p.h || j >= p.w) continue;
    int32_t at[MAPS][4];
    A weight[MAPS][4];
    bool valid[MAPS];
#pragma unroll
    for (int m = 0; m < MAPS; ++m) {
      const Sample<A> s = sample_of(p, m, n, i, j);
      const A share = share_of(p, m, n, i, j);
      valid[m] = s.valid;
      at[m][0] = s.y0 * p.map_w[m] + s.x0;
      at[m][1] = s.y0 * p.map_w[m] + s.x1;
      at[m][2] = s.y1 * p.map_w[m] + s.x0;
      at[m][3] = s.y1 * p.map_w[m] + s.x1;
      weight[m][0] = share * s.wy0 * s.wx0;
      weight[m][1] = share * s.wy0 * s.wx1;
      weight[m][2] = share * s.wy1 * s.wx0;
      weight[m][3] = share * s.wy1 * s.wx1;
    }
    T* const to = p.out + ((int64_t(n) * p.h + i) * p.w + j) * p.c;
    for (int c = lane * V; c < p.c; c += lanes * V) {
      A sum[V] = {};
#pragma unroll
      for (int m = 0; m < MAPS; ++m) {
        if (!valid[m]) continue;
        const T* const map = p.map[m] + int64_t(n) * p.map_h[m] * p.map_w[m] * p.c + c;
        Pack<T, V> v[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          v[k] = *reinterpret_cast<const Pack<T, V>*>(map + int64_t(at[m][k]) * p.c);
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) {
#pragma unroll
          for (int e = 0; e < V; ++e) sum[e] += weight[m][k] * to_acc(v[k].item[e]);
        }
      }
      Pack<T, V> result;
#pragma unroll
      for (int e = 0; e < V; ++e) from_acc(sum[e], &result.item[e]);
      *reinterpret_cast<Pack<T, V>*>(to + c) = result;
    }
  }
}

// The gradient by the flow along x and y and by the share of one map, from the sums over the
// channels of the output's gradient times each corner.
template <typename T, typename F>
SFNET_HD void finish_flow(const Problem<T, F>& p, int m, int n, int i, int j,
                          const Sample<acc_t<T>>& s, const acc_t<T>* dot, acc_t<T>* value) {
  using A = acc_t<T>;
  const A share = share_of(p, m, n, i, j);
  const A top = dot[0] * s.wx0 + dot[1] * s.wx1, bottom = dot[2] * s.wx0 + dot[3] * s.wx1;
  const A by_x = (dot[0] * s.dx0 + dot[1] * s.dx1) * s.wy0 +
                 (dot[2] * s.dx0 + dot[3] * s.dx1) * s.wy1;
  const A by_y = top * s.dy0 + bottom * s.dy1;
  value[0] = s.valid ? share * p.ax[m].unit * by_x : A(0);
  value[1] = s.valid ? share * p.ay[m].unit * by_y : A(0);
  value[2] = s.valid ? top * s.wy0 + bottom * s.wy1 : A(0);
}

// Writes the gradients of flow and gate; by_map holds those of finish_flow.
template <typename T, typename F, int MAPS>
SFNET_HD void write_flow(const Problem<T, F>& p, int n, int i, int j, const acc_t<T> (*by_map)[3]) {
  const int64_t plane = int64_t(p.h) * p.w, pixel = int64_t(i) * p.w + j;
  for (int m = 0; m < MAPS; ++m) {
    F* const to = p.grad_flow + (int64_t(n) * MAPS + m) * 2 * plane + pixel;
    from_acc(by_map[m][0], to);
    from_acc(by_map[m][1], to + plane);
  }
  if (p.grad_gate != nullptr) {
    from_acc(by_map[0][2] - by_map[MAPS - 1][2], p.grad_gate + n * plane + pixel);
  }
}

template <typename T, typename F, int MAPS, int V>
__global__ void __launch_bounds__(kThreads) backward_flow_cl(const Problem<T, F> p, int lanes) {
  using A = acc_t<T>;
  const int lane = threadIdx.x % lanes, n = blockIdx.z;
  for (int slot = threadIdx.x / lanes; slot < kTileW * kTileH; slot += kThreads / lanes) {
    const int j = blockIdx.x * kTileW + slot % kTileW, i = blockIdx.y * kTileH + slot / kTileW;
    // Every thread takes part in the exchange below; those past the border add nothing.
    const bool inside = i < p.h && j < p.w;
    const T* const grad = p.grad + ((int64_t(n) * p.h + i) * p.w + j) * p.c;
    Sample<A> s[MAPS];
    A dot[MAPS][4] = {};
    if (inside) {
#pragma unroll
      for (int m = 0; m < MAPS; ++m) s[m] = sample_of(p, m, n, i, j);
      for (int c = lane * V; c < p.c; c += lanes * V) {
        const auto g = *reinterpret_cast<const Pack<T, V>*>(grad + c);
        // A sample that is not valid has the corners of a valid one, so that all reads of both maps
        // can be under way at once; finish_flow leaves it out.
        Pack<T, V> v[MAPS][4];
#pragma unroll
        for (int m = 0; m < MAPS; ++m) {
          const T* const map = p.map[m] + int64_t(n) * p.map_h[m] * p.map_w[m] * p.c + c;
          const int32_t at[4] = {s[m].y0 * p.map_w[m] + s[m].x0, s[m].y0 * p.map_w[m] + s[m].x1,
                                 s[m].y1 * p.map_w[m] + s[m].x0, s[m].y1 * p.map_w[m] + s[m].x1};
#pragma unroll
          for (int k = 0; k < 4; ++k) {
            v[m][k] = *reinterpret_cast<const Pack<T, V>*>(map + int64_t(at[k]) * p.c);
          }
        }
#pragma unroll
        for (int m = 0; m < MAPS; ++m) {
#pragma unroll
          for (int k = 0; k < 4; ++k) {
#pragma unroll
            for (int e = 0; e < V; ++e) dot[m][k] += to_acc(g.item[e]) * to_acc(v[m][k].item[e]);
          }
        }
      }
    }
    // The gradients are linear in the sums over channels: each lane's part, then their sum.
    A by_map[MAPS][3] = {};
    if (inside) {
#pragma unroll
      for (int m = 0; m < MAPS; ++m) finish_flow(p, m, n, i, j, s[m], dot[m], by_map[m]);
    }
    for (int step = lanes / 2; step > 0; step /= 2) {
#pragma unroll
      for (int m = 0; m < MAPS; ++m) {
#pragma unroll
        for (int k = 0; k < 3; ++k) {
          by_map[m][k] += __shfl_xor_sync(kFullWarp, by_map[m][k], step);
        }
      }
    }
    if (inside && lane == 0) write_flow<T, F, MAPS>(p, n, i, j, by_map);
  }
}

// --- NCHW: a thread per output pixel, so that neighbors read and write neighbors ---------------

template <typename T, typename F, int MAPS>
__global__ void __launch_bounds__(kThreads) forward_cf(const Problem<T, F> p) {
  using A = acc_t<T>;
  const int j = blockIdx.x * 32 + threadIdx.x, i = blockIdx.y * 8 + threadIdx.y;
  if (i >= p.h || j >= p.w) return;
  const int chunks = (p.c + kChunk - 1) / kChunk;
  const int n = blockIdx.z / chunks, first = blockIdx.z % chunks * kChunk;
  A sum[kChunk] = {};
#pragma unroll
  for (int m = 0; m < MAPS; ++m) {
    const Sample<A> s = sample_of(p, m, n, i, j);
    if (!s.valid) continue;
    const A share = share_of(p, m, n, i, j);
    const int32_t w = p.map_w[m];
    const int64_t plane = int64_t(p.map_h[m]) * w;
    const T* map = p.map[m] + (int64_t(n) * p.c + first) * plane;
    const A w0 = share * s.wy0 * s.wx0, w1 = share * s.wy0 * s.wx1;
    const A w2 = share * s.wy1 * s.wx0, w3 = share * s.wy1 * s.wx1;
#pragma unroll
    for (int k = 0; k < kChunk; ++k, map += plane) {
      if (first + k >= p.c) break;
      sum[k] += w0 * to_acc(map[s.y0 * w + s.x0]) + w1 * to_acc(map[s.y0 * w + s.x1]) +
                w2 * to_acc(map[s.y1 * w + s.x0]) + w3 * to_acc(map[s.y1 * w + s.x1]);
    }
  }
  const int64_t plane = int64_t(p.h) * p.w;
  T* const to = p.out + (int64_t(n) * p.c + first) * plane + int64_t(i) * p.w + j;
#pragma unroll
  for (int k = 0; k < kChunk; ++k) {
    if (first + k < p.c) from_acc(sum[k], to + k * plane);
  }
}

// A block takes 32 pixels of a row; its eight rows of threads share out the channels.
template <typename T, typename F, int MAPS>
__global__ void __launch_bounds__(kThreads) backward_flow_cf(const Problem<T, F> p) {
  using A = acc_t<T>;
  __shared__ A part[8][4][32];
  const int j = blockIdx.x * 32 + threadIdx.x, i = blockIdx.y, n = blockIdx.z;
  const bool inside = j < p.w;
  const int64_t out_plane = int64_t(p.h) * p.w;
  A value[MAPS][3];
#pragma unroll
  for (int m = 0; m < MAPS; ++m) {
    A dot[4] = {};
    Sample<A> s{};
    if (inside) s = sample_of(p, m, n, i, j);
    if (s.valid) {
      const int32_t w = p.map_w[m];
      const int64_t plane = int64_t(p.map_h[m]) * w;
      for (int c = threadIdx.y; c < p.c; c += 8) {
        const T* const map = p.map[m] + (int64_t(n) * p.c + c) * plane;
        const A g = to_acc(p.grad[(int64_t(n) * p.c + c) * out_plane + int64_t(i) * p.w + j]);
        dot[0] += g * to_acc(map[s.y0 * w + s.x0]);
        dot[1] += g * to_acc(map[s.y0 * w + s.x1]);
        dot[2] += g * to_acc(map[s.y1 * w + s.x0]);
        dot[3] += g * to_acc(map[s.y1 * w + s.x1]);
      }
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 4; ++k) part[threadIdx.y][k][threadIdx.x] = dot[k];
    __syncthreads();
    if (threadIdx.y == 0 && inside) {
      for (int k = 0; k < 4; ++k) {
        for (int row = 1; row < 8; ++row) dot[k] += part[row][k][threadIdx.x];
      }
      finish_flow(p, m, n, i, j, s, dot, value[m]);
    }
  }
  if (threadIdx.y == 0 && inside) write_flow<T, F, MAPS>(p, n, i, j, value);
}

}  // namespace cuda
}  // namespace sfnet_mm
