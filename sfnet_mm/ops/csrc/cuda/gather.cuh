// The gradients of the maps: gathered, not scattered.
//
// A sample falls into the cell between four pixels of the map; a map of h x w pixels has
// (h + 1) x (w + 1) cells, those at the border half outside. The output pixels are sorted by cell;
// then each pixel of the map sums over its four cells what it was read for. There is no contended
// atomic, every gradient is written once, and the order of a sum is the order within a cell.
#pragma once

#include "kernels.cuh"

namespace sfnet_mm {
namespace cuda {

// The cell of each output pixel, or `num_cells` (over all images) for one that reads nothing. With
// `counts`, also counts each cell's pixels and notes how many came before.
template <typename T, typename F>
__global__ void __launch_bounds__(kThreads)
    find_cells(const Problem<T, F> p, int m, int32_t* cell_of, int32_t* counts, int32_t* rank) {
  const int64_t k = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t pixels = int64_t(p.h) * p.w;
  if (k >= p.n * pixels) return;
  const int n = int(k / pixels), pixel = int(k % pixels);
  using A = acc_t<T>;
  const int i = pixel / p.w, j = pixel % p.w;
  const F* const at =
      p.flow + n * p.flow_at.n + 2 * m * p.flow_at.c + i * p.flow_at.h + j * p.flow_at.w;
  int32_t x, y;
  A fx, fy;
  const bool in_x = locate<A>(p.ax[m], j, A(to_acc(at[0])), &x, &fx);
  const bool in_y = locate<A>(p.ay[m], i, A(to_acc(at[p.flow_at.c])), &y, &fy);
  const int32_t cells = (p.map_h[m] + 1) * (p.map_w[m] + 1);
  const int32_t cell =
      in_x && in_y ? n * cells + (y + 1) * (p.map_w[m] + 1) + x + 1 : p.n * cells;
  cell_of[k] = cell;
  if (counts != nullptr) rank[k] = atomicAdd(counts + cell, 1);
}

// Puts each output pixel, numbered over all images, into the place of its cell.
static __global__ void __launch_bounds__(kThreads)
    fill_cells(int64_t total, const int32_t* cell_of, const int32_t* rank, const int32_t* start,
               int64_t* order) {
  const int64_t k = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k < total) order[start[cell_of[k]] + rank[k]] = k;
}

// What map pixel (y, x) was weighted with in the output pixel.
template <typename T, typename F>
SFNET_HD acc_t<T> weight_of(const Problem<T, F>& p, int m, int n, int i, int j, int y, int x) {
  using A = acc_t<T>;
  const F* const at =
      p.flow + n * p.flow_at.n + 2 * m * p.flow_at.c + i * p.flow_at.h + j * p.flow_at.w;
  int32_t x0, y0;
  A fx, fy;
  locate<A>(p.ax[m], j, A(to_acc(at[0])), &x0, &fx);
  locate<A>(p.ay[m], i, A(to_acc(at[p.flow_at.c])), &y0, &fy);
  return share_of(p, m, n, i, j) * (y0 == y ? A(1) - fy : fy) * (x0 == x ? A(1) - fx : fx);
}

// The cells of a map pixel are two runs, one per row of cells: entries first[k] to last[k].
SFNET_HD void runs_of(const int32_t* start, int32_t map_h, int32_t map_w, int n, int y, int x,
                      int32_t* first, int32_t* last) {
  for (int k = 0; k < 2; ++k) {
    const int32_t cell = (n * (map_h + 1) + y + k) * (map_w + 1) + x;
    first[k] = start[cell];
    last[k] = start[cell + 2];
  }
}

// channels_last. `groups` sets of `lanes` threads share a map pixel: 1 where few output pixels read
// it, all of the block where many do.
template <typename T, typename F, int V>
__global__ void __launch_bounds__(kThreads)
    gather_cl(const Problem<T, F> p, int m, const int32_t* start, const int64_t* order, T* out,
              int lanes, int groups) {
  using A = acc_t<T>;
  __shared__ A part[kThreads * V];
  const int lane = threadIdx.x % lanes, group = threadIdx.x / lanes % groups;
  const int32_t map_h = p.map_h[m], map_w = p.map_w[m];
  const int64_t out_pixels = int64_t(p.h) * p.w;
  const int64_t k =
      int64_t(blockIdx.x) * (kThreads / lanes / groups) + threadIdx.x / lanes / groups;
  const bool inside = k < int64_t(p.n) * map_h * map_w;
  const int x = int(k % map_w), y = int(k / map_w % map_h), n = int(k / map_w / map_h);
  int32_t first[2] = {0, 0}, last[2] = {0, 0};
  if (inside) runs_of(start, map_h, map_w, n, y, x, first, last);
  // Without groups a thread leaves the loop by itself; with them, all of a block see one bound.
  for (int base = 0; base < p.c; base += lanes * V) {
    const int c = base + lane * V;
    A sum[V] = {};
    if (c < p.c) {
      for (int run = 0; run < 2; ++run) {
        for (int32_t e = first[run] + group; e < last[run]; e += groups) {
          const int64_t at = order[e];
          const int pixel = int(at - n * out_pixels);
          const A weight = weight_of(p, m, n, pixel / p.w, pixel % p.w, y, x);
          const auto g = *reinterpret_cast<const Pack<T, V>*>(p.grad + at * p.c + c);
#pragma unroll
          for (int v = 0; v < V; ++v) sum[v] += weight * to_acc(g.item[v]);
        }
      }
    }
    if (groups > 1) {
      __syncthreads();
#pragma unroll
      for (int v = 0; v < V; ++v) part[v * kThreads + threadIdx.x] = sum[v];
      __syncthreads();
      if (group == 0) {
        for (int other = 1; other < groups; ++other) {
#pragma unroll
          for (int v = 0; v < V; ++v) {
            sum[v] += part[v * kThreads + threadIdx.x + other * lanes];
          }
        }
      }
    }
    if (inside && group == 0 && c < p.c) {
      Pack<T, V> result;
#pragma unroll
      for (int v = 0; v < V; ++v) from_acc(sum[v], &result.item[v]);
      *reinterpret_cast<Pack<T, V>*>(out + k * p.c + c) = result;
    }
  }
}

// NCHW. A map pixel belongs to a thread, or to a warp where many output pixels read it; blockIdx.y
// counts chunks of channels.
template <typename T, typename F, bool WARP>
__global__ void __launch_bounds__(kThreads)
    gather_cf(const Problem<T, F> p, int m, const int32_t* start, const int64_t* order, T* out) {
  using A = acc_t<T>;
  constexpr int kWidth = WARP ? 32 : 1;
  const int32_t map_h = p.map_h[m], map_w = p.map_w[m];
  const int64_t out_pixels = int64_t(p.h) * p.w;
  const int64_t k = int64_t(blockIdx.x) * (kThreads / kWidth) + threadIdx.x / kWidth;
  const int lane = threadIdx.x % kWidth, base = blockIdx.y * kChunk;
  if (k >= int64_t(p.n) * map_h * map_w) return;
  const int x = int(k % map_w), y = int(k / map_w % map_h), n = int(k / map_w / map_h);
  int32_t first[2], last[2];
  runs_of(start, map_h, map_w, n, y, x, first, last);
  A sum[kChunk] = {};
  for (int run = 0; run < 2; ++run) {
    for (int32_t e = first[run] + lane; e < last[run]; e += kWidth) {
      const int pixel = int(order[e] - n * out_pixels);
      const A weight = weight_of(p, m, n, pixel / p.w, pixel % p.w, y, x);
      const T* const grad = p.grad + (int64_t(n) * p.c + base) * out_pixels + pixel;
#pragma unroll
      for (int c = 0; c < kChunk; ++c) {
        if (base + c < p.c) sum[c] += weight * to_acc(grad[c * out_pixels]);
      }
    }
  }
  const int64_t plane = int64_t(map_h) * map_w;
  T* const to = out + (int64_t(n) * p.c + base) * plane + int64_t(y) * map_w + x;
#pragma unroll
  for (int c = 0; c < kChunk; ++c) {
    if (WARP) {
      for (int step = 16; step > 0; step /= 2) {
        sum[c] += __shfl_xor_sync(kFullWarp, sum[c], step);
      }
    }
    if (lane == 0 && base + c < p.c) from_acc(sum[c], to + c * plane);
  }
}

}  // namespace cuda
}  // namespace sfnet_mm
