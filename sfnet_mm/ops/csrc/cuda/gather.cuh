// The gradients of the maps, gathered by each map pixel from its four cells (cells.cuh).
#pragma once

#include "cells.cuh"

namespace sfnet_mm {
namespace cuda {

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
    const int32_t cell = first_cell(p, m) + (n * (p.map_h[m] + 1) + y + k) * (p.map_w[m] + 1) + x;
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
  const int32_t e = below ? runs.first[1] + (at - runs.count[0]) : runs.first[0] + at;
  const bool wanted = at < runs.count[0] + runs.count[1];
  Entry<A> entry{-1};
  if (wanted) entry = entries[e];
  // An index known at compile time keeps the runs in registers.
  const bool right = e >= (below ? runs.middle[1] : runs.middle[0]);
  *weight =
      entry.share * (below ? A(1) - entry.fy : entry.fy) * (right ? A(1) - entry.fx : entry.fx);
  return entry.pixel;
}

// Blocks of gather_cl: each takes a tile of the map, because neighbors share cells.
constexpr int kMapTileW = 8;

SFNET_HD int32_t map_tiles(int32_t size, int32_t tile) { return (size + tile - 1) / tile; }

// channels_last: `lanes` neighboring threads share a map pixel, V channels each at a time.
template <typename T, typename F, int V>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    gather_cl(const Problem<T, F> p, int m, const int32_t* start, const Entry<acc_t<T>>* entries,
              T* out, int lanes) {
  using A = acc_t<T>;
  const int lane = threadIdx.x % lanes, slot = threadIdx.x / lanes;
  const int32_t map_h = p.map_h[m], map_w = p.map_w[m];
  const int tile_h = kThreads / lanes / kMapTileW;
  const int32_t across = map_tiles(map_w, kMapTileW), down = map_tiles(map_h, tile_h);
  const int32_t row = blockIdx.x / across, n = row / down;
  const int32_t x = (blockIdx.x - row * across) * kMapTileW + slot % kMapTileW;
  const int32_t y = (row - n * down) * tile_h + slot / kMapTileW;
  if (x >= map_w || y >= map_h) return;
  T* const to = out + ((int64_t(n) * map_h + y) * map_w + x) * p.c;
  const Runs runs = runs_of(p, start, m, n, y, x);
  const int32_t count = runs.count[0] + runs.count[1];
  for (int c = lane * V; c < p.c; c += lanes * V) {
    A sum[V] = {};
    for (int32_t first = 0; first < count; first += kBatch) {
      int64_t pixel[kBatch];
      A weight[kBatch];
      Pack<T, V> g[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        pixel[b] = read_entry(entries, runs, first + b, &weight[b]);
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
    Pack<T, V> result;
#pragma unroll
    for (int v = 0; v < V; ++v) from_acc(sum[v], &result.item[v]);
    *reinterpret_cast<Pack<T, V>*>(to + c) = result;
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
