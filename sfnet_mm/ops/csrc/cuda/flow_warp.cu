// CUDA operators: lays the tensors out for the kernels and launches them on the current stream.
#include "../flow_warp.h"

#include <ATen/Context.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include "cell_sums.cuh"
#include "flow_gradient.cuh"
#include "forward.cuh"
#include "gather.cuh"

namespace sfnet_mm {
namespace cuda {
namespace {

cudaStream_t stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

int blocks_of(int64_t count, int64_t per_block) {
  return static_cast<int>((count + per_block - 1) / per_block);
}

Strides strides_of(const Tensor& x) { return {x.stride(0), x.stride(1), x.stride(2), x.stride(3)}; }

// Maps in one layout; flow and gate of one type, where they lie.
struct Inputs {
  std::vector<Tensor> maps;
  Tensor flow, gate;
  at::MemoryFormat format;

  Inputs(std::vector<Tensor> maps_, const Tensor& flow_, const OptionalTensor& gate_)
      : maps(std::move(maps_)), format(format_of(maps.back())) {
    // Kernels exist for coordinates of the maps' type and of the type that positions are summed in.
    const auto exact = coordinate_type(maps[0]);
    const bool same = flow_.scalar_type() == maps[0].scalar_type() &&
                      (!gate_.has_value() || gate_->scalar_type() == flow_.scalar_type());
    const auto type = same ? maps[0].scalar_type() : exact;
    flow = flow_.to(type);
    if (gate_.has_value()) gate = gate_->to(type);
    // Samples and cells are numbered over both maps, in 32 bits.
    const int64_t samples = maps.size() * flow.size(0) * flow.size(2) * flow.size(3);
    int64_t cells = 0;
    for (Tensor& map : maps) {
      map = map.contiguous(format);
      cells += map.size(0) * (map.size(2) + 1) * (map.size(3) + 1) + 1;
    }
    // A thread counts up to a turn of its block beyond the last sample.
    constexpr int32_t most = INT32_MAX - kBatch * kThreads;
    TORCH_CHECK(std::max(samples, cells) < most, "flow has shape ", flow.sizes(),
                ": a batch may have at most ", most / maps.size(), " pixels");
    TORCH_CHECK(flow.size(0) < 65536 && flow.size(2) < 65536, "flow has shape ", flow.sizes(),
                ": at most 65535 images of 65535 rows");
  }

  bool channels_last() const { return format == at::MemoryFormat::ChannelsLast; }

  template <typename T, typename F>
  Problem<T, F> problem() const {
    using A = acc_t<T>;
    Problem<T, F> p{};
    p.n = maps[0].size(0);
    p.c = maps[0].size(1);
    p.h = flow.size(2);
    p.w = flow.size(3);
    for (size_t m = 0; m < maps.size(); ++m) {
      p.map_h[m] = maps[m].size(2);
      p.map_w[m] = maps[m].size(3);
      p.ax[m] = make_axis<A>(p.map_w[m], p.w);
      p.ay[m] = make_axis<A>(p.map_h[m], p.h);
      p.map[m] = static_cast<const T*>(maps[m].const_data_ptr());
    }
    p.flow = static_cast<const F*>(flow.const_data_ptr());
    p.flow_at = strides_of(flow);
    if (gate.defined()) {
      p.gate = static_cast<const F*>(gate.const_data_ptr());
      p.gate_at = strides_of(gate);
    }
    return p;
  }
};

template <typename T>
struct Tag {
  using type = T;
};

// Calls visit(Tag<T>, Tag<F>, whether a pixel's channels can be read 16 bytes at a time).
template <typename Visit>
void with_types(const Inputs& in, const std::vector<Tensor>& others, Visit&& visit) {
  const auto type = in.maps[0].scalar_type();
  const int64_t vector = 16 / in.maps[0].element_size();
  bool aligned = in.maps[0].size(1) % vector == 0;
  const auto check = [&](const Tensor& t) {
    aligned = aligned && reinterpret_cast<uintptr_t>(t.const_data_ptr()) % 16 == 0;
  };
  for (const Tensor& t : in.maps) check(t);
  for (const Tensor& t : others) check(t);
  const bool same = in.flow.scalar_type() == type;
  if (type == at::kDouble) {
    visit(Tag<double>(), Tag<double>(), aligned);
  } else if (type == at::kFloat) {
    visit(Tag<float>(), Tag<float>(), aligned);
  } else if (type == at::kHalf) {
    same ? visit(Tag<__half>(), Tag<__half>(), aligned)
         : visit(Tag<__half>(), Tag<float>(), aligned);
  } else {
    TORCH_CHECK(type == at::kBFloat16, "flow warp has no kernel for ", type);
    same ? visit(Tag<__nv_bfloat16>(), Tag<__nv_bfloat16>(), aligned)
         : visit(Tag<__nv_bfloat16>(), Tag<float>(), aligned);
  }
}

// Threads that share a pixel: a power of two, not more than its channels need. Each works out the
// position by itself, so that fewer threads with more channels each are faster, to a point: `most`
// was tuned for each kernel on an H100 (docs/ops.md).
int lanes_of(int64_t channels, int vector, int most) {
  int lanes = 1;
  while (lanes < most && lanes * vector < channels) lanes *= 2;
  return lanes;
}

template <typename T, typename F>
dim3 tiles_of(const Problem<T, F>& p) {
  return dim3(blocks_of(p.w, kTileW), blocks_of(p.h, kTileH), p.n);
}

template <int MAPS, int V, typename T, typename F>
void launch_cl(const Problem<T, F>& p, bool is_forward) {
  const int lanes = lanes_of(p.c, V, is_forward ? 8 : 4);
  if (is_forward) {
    forward_cl<T, F, MAPS, V><<<tiles_of(p), kThreads, 0, stream()>>>(p, lanes);
  } else {
    backward_flow_cl<T, F, MAPS, V><<<tiles_of(p), kThreads, 0, stream()>>>(p, lanes);
  }
}

template <int MAPS, typename T, typename F>
void launch_cf(const Problem<T, F>& p, bool is_forward) {
  const dim3 threads(32, 8);
  if (is_forward) {
    const int64_t chunks = blocks_of(p.c, kChunk);
    TORCH_CHECK(p.n * chunks < 65536, "x has ", p.n, " images of ", p.c,
                " channels: more than a launch can take, use channels_last");
    const dim3 blocks(blocks_of(p.w, 32), blocks_of(p.h, 8), p.n * chunks);
    forward_cf<T, F, MAPS><<<blocks, threads, 0, stream()>>>(p);
  } else {
    const dim3 blocks(blocks_of(p.w, 32), p.h, p.n);
    backward_flow_cf<T, F, MAPS><<<blocks, threads, 0, stream()>>>(p);
  }
}

// The kernels that go over the output: the forward pass, and the gradients of flow and gate.
template <typename T, typename F>
void launch(const Inputs& in, const Problem<T, F>& p, bool aligned, bool is_forward) {
  const bool two = in.maps.size() == 2;
  if (!in.channels_last()) {
    two ? launch_cf<2>(p, is_forward) : launch_cf<1>(p, is_forward);
  } else if (aligned) {
    constexpr int V = 16 / sizeof(T);
    two ? launch_cl<2, V>(p, is_forward) : launch_cl<1, V>(p, is_forward);
  } else {
    two ? launch_cl<2, 1>(p, is_forward) : launch_cl<1, 1>(p, is_forward);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

Tensor forward(std::vector<Tensor> maps, const Tensor& flow, const OptionalTensor& gate) {
  const c10::cuda::CUDAGuard guard(maps[0].device());
  Inputs in(std::move(maps), flow, gate);
  Tensor out = at::empty({in.maps[0].size(0), in.maps[0].size(1), flow.size(2), flow.size(3)},
                         in.maps[0].options(), in.format);
  if (out.numel() == 0) return out;
  with_types(in, {out}, [&](auto t, auto f, bool aligned) {
    using T = typename decltype(t)::type;
    using F = typename decltype(f)::type;
    auto p = in.problem<T, F>();
    p.out = static_cast<T*>(out.data_ptr());
    launch(in, p, aligned, true);
  });
  return out;
}

// The samples of all maps sorted by the cell that they read, and where each cell starts.
struct Cells {
  Tensor start, entries;
};

template <typename T, typename F>
Cells sort_by_cell(const Problem<T, F>& p, int maps, const at::TensorOptions& options) {
  using A = acc_t<T>;
  const int64_t pixels = int64_t(p.n) * p.h * p.w, total = maps * pixels;
  const int64_t cells = cells_of(p, 0) + (maps == 2 ? int64_t(cells_of(p, 1)) : 0);
  const auto ints = options.dtype(at::kInt);
  const dim3 blocks(blocks_of(pixels, kThreads), maps);
  Tensor cell_of = at::empty({total}, ints), start, rank, order;
  auto* const cell_data = cell_of.mutable_data_ptr<int32_t>();
  if (at::globalContext().deterministicAlgorithms()) {
    find_cells<<<blocks, kThreads, 0, stream()>>>(p, cell_data, nullptr, nullptr);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    Tensor sorted;
    std::tie(sorted, order) = at::sort(cell_of, /*stable=*/true, 0, /*descending=*/false);
    start = at::searchsorted(sorted, at::arange(cells + 1, ints), /*out_int32=*/true);
  } else {
    // Counts are kept one place to the right, so that their running sum is where each cell starts.
    Tensor counts = at::zeros({cells + 1}, ints);
    rank = at::empty({total}, ints);
    find_cells<<<blocks, kThreads, 0, stream()>>>(
        p, cell_data, counts.mutable_data_ptr<int32_t>() + 1, rank.mutable_data_ptr<int32_t>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    start = at::cumsum(counts, 0, at::kInt);
  }
  Tensor entries = at::empty({total * int64_t(sizeof(Entry<A>))}, options.dtype(at::kByte));
  fill_cells<<<blocks, kThreads, 0, stream()>>>(
      p, cell_data, rank.defined() ? rank.const_data_ptr<int32_t>() : nullptr,
      start.const_data_ptr<int32_t>(), order.defined() ? order.const_data_ptr<int64_t>() : nullptr,
      reinterpret_cast<Entry<A>*>(entries.data_ptr()));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return {start, entries};
}

template <int V, typename T, typename F>
void launch_gather_cl(const Problem<T, F>& p, int m, const int32_t* start,
                      const Entry<acc_t<T>>* entries, bool crowded, T* to,
                      const at::TensorOptions& options) {
  using A = acc_t<T>;
  const int64_t pixels = int64_t(p.n) * p.map_h[m] * p.map_w[m];
  if (!crowded) {
    const int lanes = lanes_of(p.c, V, 8);
    const int blocks = p.n * map_tiles(p.map_w[m], kMapTileW) *
                       map_tiles(p.map_h[m], kThreads / lanes / kMapTileW);
    gather_cl<T, F, V><<<blocks, kThreads, 0, stream()>>>(p, m, start, entries, to, lanes);
    return;
  }
  // The last cell holds the samples that read nothing.
  const int64_t count = cells_of(p, m) - 1;
  Tensor sums = at::empty({count * 4 * p.c * int64_t(sizeof(A))}, options.dtype(at::kByte));
  auto* const sums_data = static_cast<A*>(sums.data_ptr());
  sum_cells_cl<T, F, V><<<blocks_of(count, 1), kThreads, 0, stream()>>>(
      p, m, start, entries, sums_data, lanes_of(p.c, V, 32));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  add_cells_cl<T, F>
      <<<blocks_of(pixels, kThreads / 32), kThreads, 0, stream()>>>(p, m, sums_data, to);
}

template <typename T, typename F>
void gather(const Inputs& in, const Problem<T, F>& p, int m, const Cells& cells, bool aligned,
            Tensor& out) {
  const auto* const start = cells.start.const_data_ptr<int32_t>();
  const auto* const entries = static_cast<const Entry<acc_t<T>>*>(cells.entries.const_data_ptr());
  T* const to = static_cast<T*>(out.data_ptr());
  const int64_t pixels = int64_t(p.n) * p.map_h[m] * p.map_w[m];
  // Each output pixel reads four map pixels, so that a map pixel is read 32 times or more on
  // average.
  const bool crowded = int64_t(p.n) * p.h * p.w >= 8 * pixels;
  if (!in.channels_last()) {
    const dim3 blocks(blocks_of(pixels, crowded ? kThreads / 32 : kThreads),
                      blocks_of(p.c, kChunk));
    TORCH_CHECK(blocks.y < 65536, "x has ", p.c, " channels: more than a launch can take");
    if (crowded) {
      gather_cf<T, F, true><<<blocks, kThreads, 0, stream()>>>(p, m, start, entries, to);
    } else {
      gather_cf<T, F, false><<<blocks, kThreads, 0, stream()>>>(p, m, start, entries, to);
    }
  } else if (aligned) {
    launch_gather_cl<16 / sizeof(T)>(p, m, start, entries, crowded, to, out.options());
  } else {
    launch_gather_cl<1>(p, m, start, entries, crowded, to, out.options());
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

struct Gradients {
  std::vector<Tensor> maps;
  Tensor flow, gate;
};

Gradients backward(const Tensor& grad, std::vector<Tensor> maps, const Tensor& flow,
                   const OptionalTensor& gate) {
  const c10::cuda::CUDAGuard guard(grad.device());
  Inputs in(std::move(maps), flow, gate);
  const Tensor grad_ = grad.contiguous(in.format);
  Gradients out;
  for (const Tensor& map : in.maps) {
    out.maps.push_back(at::empty(map.sizes(), map.options(), in.format));
  }
  const auto plain = at::MemoryFormat::Contiguous;
  out.flow = at::empty(in.flow.sizes(), in.flow.options(), plain);
  out.gate = in.gate.defined() ? at::empty(in.gate.sizes(), in.gate.options(), plain)
                               : at::empty({0}, in.flow.options());
  if (grad_.numel() > 0) {
    std::vector<Tensor> accessed = out.maps;
    accessed.push_back(grad_);
    with_types(in, accessed, [&](auto t, auto f, bool aligned) {
      using T = typename decltype(t)::type;
      using F = typename decltype(f)::type;
      auto p = in.problem<T, F>();
      p.grad = static_cast<const T*>(grad_.const_data_ptr());
      p.grad_flow = static_cast<F*>(out.flow.data_ptr());
      p.grad_gate = in.gate.defined() ? static_cast<F*>(out.gate.data_ptr()) : nullptr;
      launch(in, p, aligned, false);
      const int maps = static_cast<int>(in.maps.size());
      const Cells cells = sort_by_cell(p, maps, in.maps[0].options());
      for (int m = 0; m < maps; ++m) gather(in, p, m, cells, aligned, out.maps[m]);
    });
  } else {
    for (Tensor& map : out.maps) map.zero_();
    out.flow.zero_();
    out.gate.zero_();
  }
  out.flow = out.flow.to(flow.scalar_type());
  out.gate = out.gate.to(gate.has_value() ? gate->scalar_type() : flow.scalar_type());
  return out;
}

#include "../operators.inl.h"

}  // namespace

TORCH_LIBRARY_IMPL(sfnet_mm, CUDA, m) { implement(m); }

}  // namespace cuda
}  // namespace sfnet_mm
