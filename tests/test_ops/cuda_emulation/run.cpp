// Runs the CUDA kernels of the flow warp on the CPU; called from test_cuda_emulated.py.
#include "emulation.h"

#include "cell_sums.cuh"
#include "flow_gradient.cuh"
#include "forward.cuh"
#include "gather.cuh"

using namespace sfnet_mm::cuda;
using sfnet_mm::acc_t;

struct Arguments {
  int32_t kind, channels_last, vector, crowded;
  int32_t n, c, h, w, map_h[2], map_w[2];
  void *map[2], *flow, *gate, *out, *grad, *grad_map[2], *grad_flow, *grad_gate;
};

static int parts(int64_t count, int64_t size) { return int((count + size - 1) / size); }

template <typename T, typename F, int MAPS, int V>
void run(const Arguments& a) {
  using A = acc_t<T>;
  Problem<T, F> p{};
  p.n = a.n, p.c = a.c, p.h = a.h, p.w = a.w;
  for (int m = 0; m < MAPS; ++m) {
    p.map_h[m] = a.map_h[m], p.map_w[m] = a.map_w[m];
    p.ax[m] = sfnet_mm::make_axis<A>(p.map_w[m], p.w);
    p.ay[m] = sfnet_mm::make_axis<A>(p.map_h[m], p.h);
    p.map[m] = static_cast<const T*>(a.map[m]);
  }
  const int64_t plane = int64_t(p.h) * p.w;
  p.flow = static_cast<const F*>(a.flow), p.gate = static_cast<const F*>(a.gate);
  p.flow_at = {2 * MAPS * plane, plane, p.w, 1}, p.gate_at = {plane, 0, p.w, 1};
  p.out = static_cast<T*>(a.out), p.grad = static_cast<const T*>(a.grad);
  p.grad_flow = static_cast<F*>(a.grad_flow), p.grad_gate = static_cast<F*>(a.grad_gate);

  // Few lanes take several turns over the channels, many take one.
  const int most = a.crowded ? 32 : 8;
  int lanes = 1;
  while (lanes < most && lanes * V < p.c) lanes *= 2;
  if (a.channels_last) {
    const dim3 tiles(parts(p.w, kTileW), parts(p.h, kTileH), p.n);
    launch(tiles, dim3(kThreads), [&] { forward_cl<T, F, MAPS, V>(p, lanes); });
    // Both maps of a pixel are in one warp of 32 threads.
    const int flow_lanes = lanes < 16 ? lanes : 16;
    launch(tiles, dim3(kThreads), [&] { backward_flow_cl<T, F, MAPS, V>(p, flow_lanes); });
  } else {
    launch(dim3(parts(p.w, 32), parts(p.h, 8), p.n * parts(p.c, kChunk)), dim3(32, 8),
           [&] { forward_cf<T, F, MAPS>(p); });
    launch(dim3(parts(p.w, 32), p.h, p.n), dim3(32, 8), [&] { backward_flow_cf<T, F, MAPS>(p); });
  }
  const int64_t pixels = p.n * plane, total = MAPS * pixels;
  const int64_t cells = cells_of(p, 0) + (MAPS == 2 ? cells_of(p, 1) : 0);
  std::vector<int32_t> cell(total), rank(total), start(cells + 1);
  std::vector<int64_t> order(total);
  std::vector<Entry<A>> entries(total);
  const dim3 blocks(parts(pixels, kThreads), MAPS);
  launch(blocks, dim3(kThreads),
         [&] { find_cells<T, F>(p, cell.data(), start.data() + 1, rank.data()); });
  for (int64_t k = 1; k < cells + 1; ++k) start[k] += start[k - 1];
  for (int64_t k = 0; k < total; ++k) order[start[cell[k]] + rank[k]] = k;
  // `crowded` cases also take the way of deterministic runs: samples that are sorted already.
  const int64_t* const sorted = a.crowded ? order.data() : nullptr;
  launch(blocks, dim3(kThreads), [&] {
    fill_cells<T, F>(p, cell.data(), rank.data(), start.data(), sorted, entries.data());
  });
  for (int m = 0; m < MAPS; ++m) {
    const int64_t pixels = int64_t(p.n) * p.map_h[m] * p.map_w[m];
    T* const to = static_cast<T*>(a.grad_map[m]);
    if (a.channels_last && a.crowded) {
      const int64_t count = cells_of(p, m) - 1;
      std::vector<A> sums(count * 4 * p.c);
      launch(dim3(count), dim3(kThreads), [&] {
        sum_cells_cl<T, F, V>(p, m, start.data(), entries.data(), sums.data(), lanes);
      });
      launch(dim3(parts(pixels, kThreads / 32)), dim3(kThreads),
             [&] { add_cells_cl<T, F>(p, m, sums.data(), to); });
    } else if (a.channels_last) {
      const int across = map_tiles(p.map_w[m], kMapTileW);
      const int down = map_tiles(p.map_h[m], kThreads / lanes / kMapTileW);
      launch(dim3(p.n * across * down), dim3(kThreads),
             [&] { gather_cl<T, F, V>(p, m, start.data(), entries.data(), to, lanes); });
    } else if (a.crowded) {
      launch(dim3(parts(pixels, kThreads / 32), parts(p.c, kChunk)), dim3(kThreads),
             [&] { gather_cf<T, F, true>(p, m, start.data(), entries.data(), to); });
    } else {
      launch(dim3(parts(pixels, kThreads), parts(p.c, kChunk)), dim3(kThreads),
             [&] { gather_cf<T, F, false>(p, m, start.data(), entries.data(), to); });
    }
  }
}

template <typename T, typename F>
void run_with(const Arguments& a) {
  constexpr int V = 16 / sizeof(T);
  const bool two = a.map[1] != nullptr;
  if (a.vector) {
    two ? run<T, F, 2, V>(a) : run<T, F, 1, V>(a);
  } else {
    two ? run<T, F, 2, 1>(a) : run<T, F, 1, 1>(a);
  }
}

extern "C" void run_kernels(const Arguments* a) {
  if (a->kind == 0) run_with<double, double>(*a);
  if (a->kind == 1) run_with<float, float>(*a);
  if (a->kind == 2) run_with<__half, float>(*a);
  if (a->kind == 3) run_with<__nv_bfloat16, __nv_bfloat16>(*a);
}
