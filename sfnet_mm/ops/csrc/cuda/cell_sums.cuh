// The gradients of a map that many output pixels read, channels_last: each cell (cells.cuh) sums
// for its four corners, then each map pixel adds the sums of its four cells. An output pixel is
// read once, where a gather would read it for each of four map pixels.
#pragma once

#include "cells.cuh"

namespace sfnet_mm {
namespace cuda {

// Sums of all cells of map m, (cells, 4, C): corners are upper left, upper right, lower left, lower
// right. A cell belongs to a block; sets of `lanes` threads share out its samples.
template <typename T, typename F, int V>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    sum_cells_cl(const Problem<T, F> p, int m, const int32_t* start, const Entry<acc_t<T>>* entries,
                 acc_t<T>* sums, int lanes) {
  using A = acc_t<T>;
  // With more columns than threads, a warp reads the channels of a corner from different banks.
  // Half precision takes 33 KB, so that only one block fits on sm_75, and two on sm_86 and sm_120.
  constexpr int kColumns = kThreads + (V == 8 ? 4 : 8);
  __shared__ A part[4 * V * kColumns];
  const int lane = threadIdx.x % lanes, set = threadIdx.x / lanes, sets = kThreads / lanes;
  const int32_t cell = blockIdx.x, number = first_cell(p, m) + cell;
  const int32_t begin = start[number], end = start[number + 1];
  for (int base = 0; base < p.c; base += lanes * V) {
    const int c = base + lane * V;
    A sum[4][V] = {};
    // Threads without channels add nothing, but take part in the exchange below.
    for (int32_t first = c < p.c ? begin + set : end; first < end; first += kBatch * sets) {
      Entry<A> entry[kBatch];
      Pack<T, V> g[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        const int32_t at = first + b * sets;
        entry[b] = Entry<A>{-1};
        if (at < end) entry[b] = entries[at];
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        g[b] = read_if<T, V>(entry[b].pixel >= 0, p.grad + int64_t(entry[b].pixel) * p.c + c);
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        const A top = entry[b].share * (A(1) - entry[b].fy), bottom = entry[b].share * entry[b].fy;
        const A left = A(1) - entry[b].fx, right = entry[b].fx;
        const A weight[4] = {top * left, top * right, bottom * left, bottom * right};
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const A value = to_acc(g[b].item[v]);
#pragma unroll
          for (int k = 0; k < 4; ++k) sum[k][v] += weight[k] * value;
        }
      }
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
#pragma unroll
      for (int v = 0; v < V; ++v) part[(k * V + v) * kColumns + threadIdx.x] = sum[k][v];
    }
    __syncthreads();
    const int channels = lanes * V;
    for (int at = threadIdx.x; at < 4 * channels; at += kThreads) {
      const int k = at / channels, channel = at - k * channels;
      const A* const column = part + (k * V + channel % V) * kColumns + channel / V;
      A total = 0;
      for (int other = 0; other < sets; ++other) total += column[other * lanes];
      if (base + channel < p.c) {
        sums[(int64_t(cell) * 4 + k) * p.c + base + channel] = total;
      }
    }
  }
}

// A warp adds the sums for a map pixel: as the lower right corner of the cell above and to the left
// of it, and so on.
template <typename T, typename F>
__global__ void __launch_bounds__(kThreads)
    add_cells_cl(const Problem<T, F> p, int m, const acc_t<T>* sums, T* out) {
  using A = acc_t<T>;
  const int32_t map_h = p.map_h[m], map_w = p.map_w[m];
  const int64_t k = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (k >= int64_t(p.n) * map_h * map_w) return;
  const int32_t row = int32_t(k) / map_w, x = int32_t(k) - row * map_w;
  const int32_t n = row / map_h, y = row - n * map_h;
  const int64_t above = int64_t(n * (map_h + 1) + y) * (map_w + 1) + x, below = above + map_w + 1;
  for (int c = threadIdx.x % 32; c < p.c; c += 32) {
    const A sum = sums[(above * 4 + 3) * p.c + c] + sums[((above + 1) * 4 + 2) * p.c + c] +
                  sums[(below * 4 + 1) * p.c + c] + sums[(below + 1) * 4 * p.c + c];
    from_acc(sum, out + k * p.c + c);
  }
}

}  // namespace cuda
}  // namespace sfnet_mm
