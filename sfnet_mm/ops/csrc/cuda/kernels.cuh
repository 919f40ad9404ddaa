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

// --- channels_last: `lanes` neighbouring threads share a pixel, V channels each at a time ---------

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

template <typename T, typename F, int MAPS>
SFNET_HD void write_flow(const Problem<T, F>& p, int n, int i, int j,
                         const acc_t<T> (*value)[3]) {
  const int64_t plane = int64_t(p.h) * p.w, pixel = int64_t(i) * p.w + j;
  for (int m = 0; m < MAPS; ++m) {
    F* const to = p.grad_flow + (int64_t(n) * MAPS + m) * 2 * plane + pixel;
    from_acc(value[m][0], to);
    from_acc(value[m][1], to + plane);
  }
  if (p.grad_gate != nullptr) {
    from_acc(value[0][2] - value[MAPS - 1][2], p.grad_gate + n * plane + pixel);
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
    A value[MAPS][3];
#pragma unroll
    for (int m = 0; m < MAPS; ++m) {
      A dot[4] = {};
      Sample<A> s{};
      if (inside) s = sample_of(p, m, n, i, j);
      if (s.valid) {
        const T* const map = p.map[m] + int64_t(n) * p.map_h[m] * p.map_w[m] * p.c;
        const int32_t at[4] = {s.y0 * p.map_w[m] + s.x0, s.y0 * p.map_w[m] + s.x1,
                               s.y1 * p.map_w[m] + s.x0, s.y1 * p.map_w[m] + s.x1};
        for (int c = lane * V; c < p.c; c += lanes * V) {
          const auto g = *reinterpret_cast<const Pack<T, V>*>(grad + c);
#pragma unroll
          for (int k = 0; k < 4; ++k) {
            const auto v =
                *reinterpret_cast<const Pack<T, V>*>(map + int64_t(at[k]) * p.c + c);
#pragma unroll
            for (int e = 0; e < V; ++e) dot[k] += to_acc(g.item[e]) * to_acc(v.item[e]);
          }
        }
      }
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        for (int step = lanes / 2; step > 0; step /= 2) {
          dot[k] += __shfl_xor_sync(kFullWarp, dot[k], step);
        }
      }
      if (inside) finish_flow(p, m, n, i, j, s, dot, value[m]);
    }
    if (inside && lane == 0) write_flow<T, F, MAPS>(p, n, i, j, value);
  }
}

// --- NCHW: a thread per output pixel, so that neighbours read and write neighbours ---------------

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

// --- the gradients of the maps: gathered, not scattered ------------------------------------------
//
// A sample falls into the cell between four pixels of the map; a map of h x w pixels has
// (h + 1) x (w + 1) cells, those at the border half outside. The output pixels are sorted by cell;
// then each pixel of the map sums over its four cells what it was read for. There is no contended
// atomic, every gradient is written once, and the order of a sum is the order within a cell.

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
