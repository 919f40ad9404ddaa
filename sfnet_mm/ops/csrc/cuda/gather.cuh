// The gradients of the maps: gathered, not scattered.
//
// A sample falls into the cell between four pixels of the map; a map of h x w pixels has
// (h + 1) x (w + 1) cells, those at the border half outside. Samples are sorted by cell; then each
// pixel of the map sums over its four cells what it was read for. There is no contended atomic,
// every gradient is written once, and the order of a sum is the order within a cell.
//
// Both maps of GD-FAM are sorted together: the cells of the second map are numbered after those of
// the first, and one more cell behind those of each map holds the samples that read nothing.
// Samples, cells and pixels are numbered in 32 bits (the launches check that they fit), because
// divisions of 64 bits would take longer than the sums.
#pragma once

#include "problem.cuh"

namespace sfnet_mm {
namespace cuda {

// Entries, and the gradients that they point to, that a thread reads at once: one after the other,
// each would wait for memory twice.
constexpr int kBatch = 4;

// A sample as the gather needs it: the output pixel over all images, how far the position is past
// the left and upper pixel of its cell, and the share of the map in the blend.
template <typename A>
struct alignas(4 * sizeof(A)) Entry {
  int32_t pixel;
  A fx, fy, share;
};

template <typename T, typename F>
SFNET_HD int32_t cells_of(const Problem<T, F>& p, int m) {
  return p.n * (p.map_h[m] + 1) * (p.map_w[m] + 1) + 1;
}

// The sample of map m at output pixel k, and its cell among those of all maps.
template <typename T, typename F>
SFNET_HD int32_t cell_at(const Problem<T, F>& p, int m, int32_t k, Entry<acc_t<T>>* entry) {
  using A = acc_t<T>;
  const int32_t row = k / p.w, j = k - row * p.w;
  const int32_t n = row / p.h, i = row - n * p.h;
  const F* const at =
      p.flow + n * p.flow_at.n + 2 * m * p.flow_at.c + i * p.flow_at.h + j * p.flow_at.w;
  int32_t x, y;
  const bool in_x = locate<A>(p.ax[m], j, A(to_acc(at[0])), &x, &entry->fx);
  const bool in_y = locate<A>(p.ay[m], i, A(to_acc(at[p.flow_at.c])), &y, &entry->fy);
  entry->pixel = k;
  entry->share = share_of(p, m, n, i, j);
  const int32_t first = m == 0 ? 0 : cells_of(p, 0);
  if (!in_x || !in_y) return first + cells_of(p, m) - 1;
  return first + (n * (p.map_h[m] + 1) + y + 1) * (p.map_w[m] + 1) + x + 1;
}

// The cell of each sample; blockIdx.y is the map. With `counts`, also counts the samples of each
// cell and notes how many came before.
template <typename T, typename F>
__global__ void __launch_bounds__(kThreads)
    find_cells(const Problem<T, F> p, int32_t* cell_of, int32_t* counts, int32_t* rank) {
  const int32_t total = p.n * p.h * p.w, m = blockIdx.y;
  const int64_t k = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= total) return;
  Entry<acc_t<T>> entry;
  const int32_t cell = cell_at(p, m, int32_t(k), &entry);
  cell_of[m * total + k] = cell;
  if (counts != nullptr) rank[m * total + k] = atomicAdd(counts + cell, 1);
}

// Puts each sample into its place: behind the `rank` earlier ones of its cell or, where the samples
// are sorted already, by `order`.
template <typename T, typename F>
__global__ void __launch_bounds__(kThreads)
    fill_cells(const Problem<T, F> p, const int32_t* cell_of, const int32_t* rank,
               const int32_t* start, const int64_t* order, Entry<acc_t<T>>* entries) {
  const int32_t total = p.n * p.h * p.w;
  const int64_t k = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (k >= total) return;
  int32_t from = blockIdx.y * total + int32_t(k), to = from;
  if (order != nullptr) {
    from = int32_t(order[to]);
  } else {
    to = start[cell_of[from]] + rank[from];
  }
  const int32_t m = from >= total;
  Entry<acc_t<T>> entry;
  cell_at(p, m, from - m * total, &entry);
  entries[to] = entry;
}

// The cells of a map pixel: two runs of entries, the cells above it and the cells below it, each of
// the cell to its left and the cell to its right.
struct Runs {
  int32_t first[2], middle[2], count[2];
};

template <typename T, typename F>
SFNET_HD Runs runs_of(const Problem<T, F>& p, const int32_t* start, int m, int n, int y, int x) {
  Runs runs;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const int32_t cell = (m == 0 ? 0 : cells_of(p, 0)) +
                         (n * (p.map_h[m] + 1) + y + k) * (p.map_w[m] + 1) + x;
    runs.first[k] = start[cell];
    runs.middle[k] = start[cell + 1];
    runs.count[k] = start[cell + 2] - runs.first[k];
  }
  return runs;
}

// Entry number `at` of a map pixel: the output pixel, and what the map pixel was weighted with.
// -1 and nothing where there are not as many.
template <typename A>
SFNET_HD int32_t read_entry(const Entry<A>* entries, const Runs& runs, int32_t at, A* weight) {
  const bool below = at >= runs.count[0];
  const int32_t e = below ? runs.first[1] + at - runs.count[0] : runs.first[0] + at;
  const bool wanted = at < runs.count[0] + runs.count[1];
  Entry<A> entry{-1};
  if (wanted) entry = entries[e];
  // An index known at compile time keeps the runs in registers.
  const bool right = e >= (below ? runs.middle[1] : runs.middle[0]);
  *weight = entry.share * (below ? A(1) - entry.fy : entry.fy) *
            (right ? A(1) - entry.fx : entry.fx);
  return entry.pixel;
}

// channels_last. `groups` sets of `lanes` threads share a map pixel: 1 where few output pixels read
// it, all of the block where many do.
template <typename T, typename F, int V>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    gather_cl(const Problem<T, F> p, int m, const int32_t* start, const Entry<acc_t<T>>* entries,
              T* out, int lanes, int groups) {
  using A = acc_t<T>;
  __shared__ A part[kThreads * V];
  const int lane = threadIdx.x % lanes, group = threadIdx.x / lanes % groups;
  const int32_t map_h = p.map_h[m], map_w = p.map_w[m];
  const int64_t k =
      int64_t(blockIdx.x) * (kThreads / lanes / groups) + threadIdx.x / lanes / groups;
  const bool inside = k < int64_t(p.n) * map_h * map_w;
  const int32_t row = int32_t(k) / map_w, x = int32_t(k) - row * map_w;
  const int32_t n = row / map_h, y = row - n * map_h;
  Runs runs{};
  if (inside) runs = runs_of(p, start, m, n, y, x);
  const int32_t count = runs.count[0] + runs.count[1];
  // Without groups a thread leaves the loop by itself; with them, all of a block see one bound.
  for (int base = 0; base < p.c; base += lanes * V) {
    const int c = base + lane * V;
    A sum[V] = {};
    if (c < p.c) {
      for (int32_t first = group; first < count; first += kBatch * groups) {
        int64_t pixel[kBatch];
        A weight[kBatch];
        Pack<T, V> g[kBatch];
#pragma unroll
        for (int b = 0; b < kBatch; ++b) {
          pixel[b] = read_entry(entries, runs, first + b * groups, &weight[b]);
        }
#pragma unroll
        for (int b = 0; b < kBatch; ++b) {
          g[b] = read_if<T, V>(pixel[b] >= 0, p.grad + pixel[b] * p.c + c);
        }
#pragma unroll
        for (int b = 0; b < kBatch; ++b) {
#pragma unroll
          for (int v = 0; v < V; ++v) sum[v] += weight[b] * to_acc(g[b].item[v]);
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
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    gather_cf(const Problem<T, F> p, int m, const int32_t* start, const Entry<acc_t<T>>* entries,
              T* out) {
  using A = acc_t<T>;
  constexpr int kWidth = WARP ? 32 : 1;
  const int32_t map_h = p.map_h[m], map_w = p.map_w[m];
  const int64_t out_pixels = int64_t(p.h) * p.w;
  const int64_t k = int64_t(blockIdx.x) * (kThreads / kWidth) + threadIdx.x / kWidth;
  const int lane = threadIdx.x % kWidth, base = blockIdx.y * kChunk;
  if (k >= int64_t(p.n) * map_h * map_w) return;
  const int32_t row = int32_t(k) / map_w, x = int32_t(k) - row * map_w;
  const int32_t n = row / map_h, y = row - n * map_h;
  const Runs runs = runs_of(p, start, m, n, y, x);
  const int32_t count = runs.count[0] + runs.count[1];
  // Channel `base` of image n, less the pixels of the images before: entries count these in.
  const T* const image = p.grad + (int64_t(n) * p.c + base - n) * out_pixels;
  A sum[kChunk] = {};
  for (int32_t at = lane; at < count; at += kWidth) {
    A weight;
    const T* const grad = image + read_entry(entries, runs, at, &weight);
#pragma unroll
    for (int c = 0; c < kChunk; ++c) {
      if (base + c < p.c) sum[c] += weight * to_acc(grad[c * out_pixels]);
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
