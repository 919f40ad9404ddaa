// The forward pass: both maps sampled where the flow points to, and blended by the gate.
#pragma once

#include "problem.cuh"

namespace sfnet_mm {
namespace cuda {

// --- channels_last: `lanes` neighboring threads share a pixel, V channels each at a time -------

template <typename T, typename F, int MAPS, int V>
__global__ void __launch_bounds__(kThreads, kForwardBlocks)
    forward_cl(const Problem<T, F> p, int lanes) {
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
      // Where nothing is read, the weights are 0 whatever the gate is, an infinity for example.
      const A share = s.valid ? share_of(p, m, n, i, j) : A(0);
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
      // All reads of both maps are started before the first of them is waited for.
      Pack<T, V> v[MAPS][4];
#pragma unroll
      for (int m = 0; m < MAPS; ++m) {
        const T* const map = p.map[m] + int64_t(n) * p.map_h[m] * p.map_w[m] * p.c + c;
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          v[m][k] = read_if<T, V>(valid[m], map + int64_t(at[m][k]) * p.c);
        }
      }
      A sum[V] = {};
#pragma unroll
      for (int m = 0; m < MAPS; ++m) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
#pragma unroll
          for (int e = 0; e < V; ++e) sum[e] += weight[m][k] * to_acc(v[m][k].item[e]);
        }
      }
      Pack<T, V> result;
#pragma unroll
      for (int e = 0; e < V; ++e) from_acc(sum[e], &result.item[e]);
      *reinterpret_cast<Pack<T, V>*>(to + c) = result;
    }
  }
}

// --- NCHW: a thread per output pixel, so that neighbors read and write neighbors ---------------

template <typename T, typename F, int MAPS>
__global__ void __launch_bounds__(kThreads, kForwardBlocks) forward_cf(const Problem<T, F> p) {
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

}  // namespace cuda
}  // namespace sfnet_mm
