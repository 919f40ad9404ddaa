// The gradients of flow and gate.
#pragma once

#include "problem.cuh"

namespace sfnet_mm {
namespace cuda {

// The gradient by the flow along x and y and by the share of one map, from the sums over the
// channels of the output's gradient times each corner.
template <typename T, typename F>
SFNET_HD void finish_flow(const Problem<T, F>& p, int m, const Sample<acc_t<T>>& s, acc_t<T> share,
                          const acc_t<T>* dot, acc_t<T>* value) {
  using A = acc_t<T>;
  const A top = dot[0] * s.wx0 + dot[1] * s.wx1, bottom = dot[2] * s.wx0 + dot[3] * s.wx1;
  const A by_x =
      (dot[0] * s.dx0 + dot[1] * s.dx1) * s.wy0 + (dot[2] * s.dx0 + dot[3] * s.dx1) * s.wy1;
  const A by_y = top * s.dy0 + bottom * s.dy1;
  value[0] = s.valid ? share * p.ax[m].unit * by_x : A(0);
  value[1] = s.valid ? share * p.ay[m].unit * by_y : A(0);
  value[2] = s.valid ? top * s.wy0 + bottom * s.wy1 : A(0);
}

// Writes the gradient of the flow of one map, and with the first map that of the gate:
// `by_share` is the gradient by the share of the first map less that by the share of the second.
template <typename T, typename F, int MAPS>
SFNET_HD void write_flow(const Problem<T, F>& p, int m, int n, int i, int j, acc_t<T> by_x,
                         acc_t<T> by_y, acc_t<T> by_share) {
  const int64_t plane = int64_t(p.h) * p.w, pixel = int64_t(i) * p.w + j;
  F* const to = p.grad_flow + (int64_t(n) * MAPS + m) * 2 * plane + pixel;
  from_acc(by_x, to);
  from_acc(by_y, to + plane);
  if (m == 0 && p.grad_gate != nullptr) from_acc(by_share, p.grad_gate + n * plane + pixel);
}

// channels_last: `lanes` neighboring threads share an output pixel and a map, V channels each at a
// time. One thread for both maps would need twice the registers to have all its reads under way.
template <typename T, typename F, int MAPS, int V>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    backward_flow_cl(const Problem<T, F> p, int lanes) {
  using A = acc_t<T>;
  const int lane = threadIdx.x % lanes, n = blockIdx.z;
  const int m = MAPS == 1 ? 0 : threadIdx.x / lanes % MAPS;
  for (int slot = threadIdx.x / (lanes * MAPS); slot < kTileW * kTileH;
       slot += kThreads / (lanes * MAPS)) {
    const int j = blockIdx.x * kTileW + slot % kTileW, i = blockIdx.y * kTileH + slot / kTileW;
    // Every thread takes part in the exchange below; those past the border add nothing.
    const bool inside = i < p.h && j < p.w;
    A value[3] = {};
    if (inside) {
      const Sample<A> s = sample_of(p, m, n, i, j);
      const A share = share_of(p, m, n, i, j);
      const T* const grad = p.grad + ((int64_t(n) * p.h + i) * p.w + j) * p.c;
      const T* const map = p.map[m] + int64_t(n) * p.map_h[m] * p.map_w[m] * p.c;
      const T* const corner[4] = {map + int64_t(s.y0 * p.map_w[m] + s.x0) * p.c,
                                  map + int64_t(s.y0 * p.map_w[m] + s.x1) * p.c,
                                  map + int64_t(s.y1 * p.map_w[m] + s.x0) * p.c,
                                  map + int64_t(s.y1 * p.map_w[m] + s.x1) * p.c};
      A dot[4] = {};
      // A sample that is not valid has the corners of a valid one; finish_flow leaves it out.
      for (int c = lane * V; c < p.c; c += lanes * V) {
        const auto g = *reinterpret_cast<const Pack<T, V>*>(grad + c);
        Pack<T, V> v[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) v[k] = *reinterpret_cast<const Pack<T, V>*>(corner[k] + c);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
#pragma unroll
          for (int e = 0; e < V; ++e) dot[k] += to_acc(g.item[e]) * to_acc(v[k].item[e]);
        }
      }
      finish_flow(p, m, s, share, dot, value);
    }
    // The gradients are linear in the sums over channels: each lane's part, then their sum.
    for (int step = lanes / 2; step > 0; step /= 2) {
#pragma unroll
      for (int k = 0; k < 3; ++k) value[k] += __shfl_xor_sync(kFullWarp, value[k], step);
    }
    // The other map of this pixel is with the threads `lanes` further on.
    const A by_other = MAPS == 1 ? value[2] : __shfl_xor_sync(kFullWarp, value[2], lanes);
    if (inside && lane == 0) {
      write_flow<T, F, MAPS>(p, m, n, i, j, value[0], value[1], value[2] - by_other);
    }
  }
}

// NCHW: a block takes 32 pixels of a row; its eight rows of threads share out the channels.
template <typename T, typename F, int MAPS>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    backward_flow_cf(const Problem<T, F> p) {
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
      finish_flow(p, m, s, share_of(p, m, n, i, j), dot, value[m]);
    }
  }
  if (threadIdx.y == 0 && inside) {
#pragma unroll
    for (int m = 0; m < MAPS; ++m) {
      write_flow<T, F, MAPS>(p, m, n, i, j, value[m][0], value[m][1],
                             value[m][2] - value[MAPS - 1][2]);
    }
  }
}

}  // namespace cuda
}  // namespace sfnet_mm
