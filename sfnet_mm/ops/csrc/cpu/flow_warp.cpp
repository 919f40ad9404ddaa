// CPU operators: lays the tensors out for the kernels and spreads the kernels over the threads.
#include "../flow_warp.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels.h"

namespace sfnet_mm {
namespace cpu {
namespace {

const Kernels& kernels() {
  static const Kernels* const best = avx2_kernels() ? avx2_kernels() : default_kernels();
  return *best;
}

// A fresh tensor that is about to be written. Writing to fresh memory costs a page fault per page,
// several times what the kernel itself costs; with huge pages that is one fault in 512.
Tensor fresh(at::IntArrayRef sizes, const at::TensorOptions& options, at::MemoryFormat format) {
  Tensor t = at::empty(sizes, options, format);
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kHuge = uintptr_t(1) << 21;
  const auto begin = (reinterpret_cast<uintptr_t>(t.data_ptr()) + kHuge - 1) / kHuge * kHuge;
  const auto end = (reinterpret_cast<uintptr_t>(t.data_ptr()) + t.nbytes()) / kHuge * kHuge;
  if (begin + kHuge < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
  return t;
}

// The channels of a pixel lie side by side.
constexpr at::MemoryFormat kLayout = at::MemoryFormat::ChannelsLast;

Kind kind_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat: return Kind::f32;
    case at::kDouble: return Kind::f64;
    case at::kHalf: return Kind::f16;
    case at::kBFloat16: return Kind::bf16;
    default: TORCH_CHECK(false, "flow warp has no kernel for ", x.scalar_type());
  }
}

// One or two maps with their flow and gate in the layout that the kernels read. `format` is that of
// the caller's maps, to which the results are converted.
struct Inputs {
  std::vector<Tensor> maps;
  Tensor flow, gate;
  at::MemoryFormat format;
  Problem problem{};

  Inputs(std::vector<Tensor> maps_, const Tensor& flow_, const OptionalTensor& gate_)
      : maps(std::move(maps_)), format(format_of(maps.back())) {
    const auto type = coordinate_type(maps[0]);
    flow = flow_.to(type).contiguous();
    if (gate_.has_value()) gate = gate_->to(type).contiguous();
    problem.kind = kind_of(maps[0]);
    problem.maps = static_cast<int>(maps.size());
    problem.n = maps[0].size(0);
    problem.c = maps[0].size(1);
    problem.h = flow.size(2);
    problem.w = flow.size(3);
    TORCH_CHECK(problem.h * problem.w < INT32_MAX, "flow has shape ", flow.sizes(),
                ": an image may have at most 2147483646 pixels");
    for (int m = 0; m < problem.maps; ++m) {
      maps[m] = maps[m].contiguous(kLayout);
      problem.map[m] = maps[m].const_data_ptr();
      problem.map_h[m] = maps[m].size(2);
      problem.map_w[m] = maps[m].size(3);
      TORCH_CHECK(problem.map_h[m] * problem.map_w[m] < INT32_MAX, "a map has shape ",
                  maps[m].sizes(), ": an image may have at most 2147483646 pixels");
    }
    problem.flow = flow.const_data_ptr();
    problem.gate = gate.defined() ? gate.const_data_ptr() : nullptr;
  }

  // Rows of the output that are worth a thread of their own.
  int64_t row_grain() const {
    return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, problem.w * problem.c));
  }
};

Tensor forward(std::vector<Tensor> maps, const Tensor& flow, const OptionalTensor& gate) {
  Inputs in(std::move(maps), flow, gate);
  Problem& p = in.problem;
  Tensor out = fresh({p.n, p.c, p.h, p.w}, in.maps[0].options(), kLayout);
  p.out = out.data_ptr();
  if (out.numel() > 0) {
    at::parallel_for(0, p.n * p.h, in.row_grain(),
                     [&](int64_t begin, int64_t end) { kernels().forward(p, begin, end); });
  }
  return out.contiguous(in.format);
}

Tensor bytes(int64_t count) { return at::empty({count}, at::TensorOptions().dtype(at::kByte)); }

// The gradients of the maps. Every sum has one order whatever the number of threads is.
void scatter_maps(const Problem& p) {
  const int64_t pixels = p.h * p.w, tasks = p.n * p.maps;
  std::vector<Index> index(tasks);
  std::vector<Tensor> keep;
  std::vector<std::vector<int64_t>> first(tasks);
  for (int64_t t = 0; t < tasks; ++t) {
    keep.push_back(bytes(pixels * kernels().entry_bytes(p)));
    index[t].entries = keep.back().data_ptr();
    first[t].resize(p.map_h[t % p.maps] + 2);
    index[t].first = first[t].data();
  }
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      kernels().index(p, static_cast<int>(t % p.maps), t / p.maps, &index[t]);
    }
  });

  // Work is cut into (image, map, part): bands of rows of all channels.
  struct Part {
    int64_t task, begin, end;
  };
  std::vector<Part> parts;
  const int64_t threads = at::get_num_threads();
  for (int64_t t = 0; t < tasks; ++t) {
    const int64_t rows = p.map_h[t % p.maps], wanted = std::min(rows, 4 * threads);
    for (int64_t k = 0; k < wanted; ++k) {
      parts.push_back({t, rows * k / wanted, rows * (k + 1) / wanted});
    }
  }
  // Two lines of a map should stay in the cache of a core.
  constexpr int64_t kBuffer = 512 * 1024;
  at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
    std::vector<char> buffer;
    for (int64_t k = begin; k < end; ++k) {
      const Part& part = parts[k];
      const int map = static_cast<int>(part.task % p.maps);
      const int64_t fit = kBuffer / kernels().scatter_bytes(p, map, 1) / 16 * 16;
      const int64_t channels = std::min(p.c, std::max<int64_t>(fit, 16));
      buffer.resize(kernels().scatter_bytes(p, map, channels));
      for (int64_t c = 0; c < p.c; c += channels) {
        kernels().scatter(p, map, part.task / p.maps, index[part.task], part.begin, part.end, c,
                          std::min(channels, p.c - c), buffer.data());
      }
    }
  });
}

struct Gradients {
  std::vector<Tensor> maps;
  Tensor flow, gate;
};

Gradients backward(const Tensor& grad, std::vector<Tensor> maps, const Tensor& flow,
                   const OptionalTensor& gate) {
  Inputs in(std::move(maps), flow, gate);
  Problem& p = in.problem;
  const Tensor grad_ = grad.contiguous(kLayout);
  p.grad = grad_.const_data_ptr();
  Gradients out;
  for (int m = 0; m < p.maps; ++m) {
    out.maps.push_back(fresh(in.maps[m].sizes(), in.maps[m].options(), kLayout));
    p.grad_map[m] = out.maps[m].data_ptr();
  }
  out.flow = at::empty(in.flow.sizes(), in.flow.options());
  p.grad_flow = out.flow.data_ptr();
  out.gate =
      at::empty(in.gate.defined() ? in.gate.sizes() : at::IntArrayRef({0}), in.flow.options());
  p.grad_gate = in.gate.defined() ? out.gate.data_ptr() : nullptr;
  if (p.n > 0) {
    at::parallel_for(0, p.n * p.h, in.row_grain(),
                     [&](int64_t begin, int64_t end) { kernels().backward_flow(p, begin, end); });
    if (p.c > 0) scatter_maps(p);
  }
  for (Tensor& map : out.maps) map = map.contiguous(in.format);
  out.flow = out.flow.to(flow.scalar_type());
  out.gate = out.gate.to(gate.has_value() ? gate->scalar_type() : flow.scalar_type());
  return out;
}

#include "../operators.inl.h"

}  // namespace

TORCH_LIBRARY_IMPL(sfnet_mm, CPU, m) { implement(m); }

}  // namespace cpu
}  // namespace sfnet_mm
