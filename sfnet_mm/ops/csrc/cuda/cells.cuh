// Sorts samples by where they read, for the gradients of the maps.
//
// A sample falls into the cell between four pixels of the map; a map of h x w pixels has
// (h + 1) x (w + 1) cells, those at the border half outside. Samples are sorted by cell; then each
// pixel of the map sums over its four cells what it was read for (gather.cuh), or each cell sums
// for its four corners where many output pixels read few map pixels (cell_sums.cuh). Every
// gradient is written once and without atomics, which only count samples, and the order of a sum is
// that within a cell.
//
// Both maps of GD-FAM are sorted together: the cells of the second map are numbered after those of
// the first, and one more cell behind those of each map holds the samples that read nothing.
// Samples, cells and pixels are numbered in 32 bits (the launches check that they fit), because
// divisions of 64 bits would take longer than the sums.
#pragma once

#include "problem.cuh"

namespace sfnet_mm {
namespace cuda {

// A sample as the sums need it: the output pixel over all images, how far the position is past
// the left and upper pixel of its cell, and the share of the map in the blend.
template <typename A>
struct alignas(4 * sizeof(A)) Entry {
  int32_t pixel;
  A fx, fy, share;
};

// Entries, and the gradients that they point to, that a thread reads at once: one after the other,
// each would wait for memory twice.
constexpr int kBatch = 4;

template <typename T, typename F>
SFNET_HD int32_t cells_of(const Problem<T, F>& p, int m) {
  return p.n * (p.map_h[m] + 1) * (p.map_w[m] + 1) + 1;
}

// The number of the first cell of map m among those of all maps.
template <typename T, typename F>
SFNET_HD int32_t first_cell(const Problem<T, F>& p, int m) {
  return m == 0 ? 0 : cells_of(p, 0);
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
  const int32_t first = first_cell(p, m);
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

}  // namespace cuda
}  // namespace sfnet_mm
