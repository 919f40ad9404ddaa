// What the dispatcher glue of all devices has in common: argument checks and layouts.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace sfnet_mm {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;
using Grads2 = std::tuple<Tensor, Tensor>;
using Grads4 = std::tuple<Tensor, Tensor, Tensor, Tensor>;

inline void check_map(const char* name, const Tensor& x) {
  TORCH_CHECK(x.dim() == 4, name, " has shape ", x.sym_sizes(), ": expected (N, C, H, W)");
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), name, " is ", x.scalar_type(),
              ": expected a floating-point tensor");
  TORCH_CHECK(x.sym_size(2) > 0 && x.sym_size(3) > 0, name, " has shape ", x.sym_sizes(),
              ": its height and width must be positive");
}

// `x` must have `channels` channels and the batch and device of `other`, and its size if asked.
inline void check_companion(const char* name, const Tensor& x, const c10::SymInt& channels,
                            const char* other_name, const Tensor& other, bool same_size) {
  check_map(name, x);
  TORCH_CHECK(x.device() == other.device(), name, " is on ", x.device(), " and ", other_name,
              " on ", other.device(), ": move one");
  bool fits = x.sym_size(0) == other.sym_size(0) && x.sym_size(1) == channels;
  if (same_size) {
    fits = fits && x.sym_size(2) == other.sym_size(2) && x.sym_size(3) == other.sym_size(3);
  }
  TORCH_CHECK(fits, name, " has shape ", x.sym_sizes(), ": expected ", channels, " channels and ",
              same_size ? "the batch and size" : "the batch", " of ", other_name, " ",
              other.sym_sizes());
}

inline void check_warp(const Tensor& x, const Tensor& flow) {
  check_map("x", x);
  check_companion("flow", flow, 2, "x", x, false);
}

inline void check_dual(const Tensor& high, const Tensor& low, const Tensor& flow,
                       const OptionalTensor& gate) {
  check_map("high", high);
  check_companion("low", low, high.sym_size(1), "high", high, false);
  TORCH_CHECK(low.scalar_type() == high.scalar_type(), "low is ", low.scalar_type(),
              " and high is ", high.scalar_type(), ": convert one of them");
  check_companion("flow", flow, 4, "low", low, true);
  if (gate.has_value()) check_companion("gate", *gate, 1, "low", low, true);
}

inline void check_grad(const Tensor& grad, const Tensor& x, const Tensor& flow) {
  check_companion("grad", grad, x.sym_size(1), "flow", flow, true);
  TORCH_CHECK(grad.scalar_type() == x.scalar_type(), "grad is ", grad.scalar_type(), ": expected ",
              x.scalar_type());
}

// Maps are read and written as channels_last if they are that and not plainly contiguous.
inline at::MemoryFormat format_of(const Tensor& x) {
  const bool channels_last = !x.is_contiguous() && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

inline at::ScalarType coordinate_type(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace sfnet_mm
