// The operators of sfnet_mm: schemas, autograd, autocast and shape functions. The kernels are in
// cpu/ and cuda/. Shapes and conventions: sfnet_mm/ops/flow_warp.py.
#include "flow_warp.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#ifndef SFNET_BUILD_INFO
#define SFNET_BUILD_INFO ""
#endif

namespace sfnet_mm {

// Read from the file before it is loaded, so that a library for another torch is never loaded.
extern "C" __attribute__((visibility("default"), used)) const char sfnet_mm_build_info[] =
    "SFNET_MM_BUILD{" SFNET_BUILD_INFO "}";

using Warp = Tensor(const Tensor&, const Tensor&);
using WarpBackward = Grads2(const Tensor&, const Tensor&, const Tensor&);
using Dual = Tensor(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&);
using DualBackward = Grads4(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                            const OptionalTensor&);

template <typename F>
c10::TypedOperatorHandle<F> find_op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<F>();
}

Tensor call_warp(const Tensor& x, const Tensor& flow) {
  static const auto op = find_op<Warp>("sfnet_mm::flow_warp");
  return op.call(x, flow);
}

Tensor call_dual(const Tensor& high, const Tensor& low, const Tensor& flow,
                 const OptionalTensor& gate) {
  static const auto op = find_op<Dual>("sfnet_mm::gated_dual_flow_warp");
  return op.call(high, low, flow, gate);
}

// --- autograd: the inputs are all that is saved ---------------------------------------------

class WarpFunction : public torch::autograd::Function<WarpFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x,
                        const Tensor& flow) {
    at::AutoDispatchBelowADInplaceOrView guard;
    ctx->save_for_backward({x, flow});
    return call_warp(x, flow);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    static const auto op = find_op<WarpBackward>("sfnet_mm::flow_warp_backward");
    const auto saved = ctx->get_saved_variables();
    auto [grad_x, grad_flow] = op.call(grads[0], saved[0], saved[1]);
    return {grad_x, grad_flow};
  }
};

class DualFunction : public torch::autograd::Function<DualFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& high,
                        const Tensor& low, const Tensor& flow, const OptionalTensor& gate) {
    at::AutoDispatchBelowADInplaceOrView guard;
    ctx->save_for_backward({high, low, flow, gate.value_or(Tensor())});
    return call_dual(high, low, flow, gate);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    static const auto op = find_op<DualBackward>("sfnet_mm::gated_dual_flow_warp_backward");
    const auto saved = ctx->get_saved_variables();
    const bool gated = saved[3].defined();
    const OptionalTensor gate = gated ? OptionalTensor(saved[3]) : std::nullopt;
    auto [high, low, flow, grad_gate] = op.call(grads[0], saved[0], saved[1], saved[2], gate);
    return {high, low, flow, gated ? grad_gate : Tensor()};
  }
};

Tensor warp_autograd(const Tensor& x, const Tensor& flow) { return WarpFunction::apply(x, flow); }

Tensor dual_autograd(const Tensor& high, const Tensor& low, const Tensor& flow,
                     const OptionalTensor& gate) {
  return DualFunction::apply(high, low, flow, gate);
}

// --- autocast: maps keep their dtype, or take the wider one; coordinates are float32 anyway -----

template <c10::DispatchKey key>
Tensor warp_autocast(const Tensor& x, const Tensor& flow) {
  c10::impl::ExcludeDispatchKeyGuard guard(key);
  return call_warp(x, flow);
}

template <c10::DispatchKey key>
Tensor dual_autocast(const Tensor& high, const Tensor& low, const Tensor& flow,
                     const OptionalTensor& gate) {
  c10::impl::ExcludeDispatchKeyGuard guard(key);
  const auto type = c10::promoteTypes(high.scalar_type(), low.scalar_type());
  return call_dual(high.to(type), low.to(type), flow, gate);
}

// --- shapes, for fake tensors and torch.compile ---------------------------------------------

Tensor empty_output(const Tensor& x, const Tensor& flow) {
  return at::empty_symint({x.sym_size(0), x.sym_size(1), flow.sym_size(2), flow.sym_size(3)},
                          x.options(), format_of(x));
}

Tensor empty_grad(const Tensor& x, at::MemoryFormat format) {
  return at::empty_symint(x.sym_sizes(), x.options(), format);
}

Tensor warp_meta(const Tensor& x, const Tensor& flow) {
  check_warp(x, flow);
  return empty_output(x, flow);
}

Grads2 warp_backward_meta(const Tensor& grad, const Tensor& x, const Tensor& flow) {
  check_warp(x, flow);
  check_grad(grad, x, flow);
  return {empty_grad(x, format_of(x)), empty_grad(flow, at::MemoryFormat::Contiguous)};
}

Tensor dual_meta(const Tensor& high, const Tensor& low, const Tensor& flow,
                 const OptionalTensor& gate) {
  check_dual(high, low, flow, gate);
  return empty_output(low, flow);
}

Grads4 dual_backward_meta(const Tensor& grad, const Tensor& high, const Tensor& low,
                          const Tensor& flow, const OptionalTensor& gate) {
  check_dual(high, low, flow, gate);
  check_grad(grad, low, flow);
  const auto plain = at::MemoryFormat::Contiguous;
  return {empty_grad(high, format_of(low)), empty_grad(low, format_of(low)),
          empty_grad(flow, plain),
          gate ? empty_grad(*gate, plain) : at::empty({0}, flow.options())};
}

TORCH_LIBRARY(sfnet_mm, m) {
  const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
  m.def("flow_warp(Tensor x, Tensor flow) -> Tensor", tags);
  m.def("flow_warp_backward(Tensor grad, Tensor x, Tensor flow) -> (Tensor, Tensor)", tags);
  m.def("gated_dual_flow_warp(Tensor high, Tensor low, Tensor flow, Tensor? gate) -> Tensor", tags);
  m.def(
      "gated_dual_flow_warp_backward(Tensor grad, Tensor high, Tensor low, Tensor flow, "
      "Tensor? gate) -> (Tensor, Tensor, Tensor, Tensor)",
      tags);
}

TORCH_LIBRARY_IMPL(sfnet_mm, Autograd, m) {
  m.impl("flow_warp", &warp_autograd);
  m.impl("gated_dual_flow_warp", &dual_autograd);
  m.impl("flow_warp_backward", torch::autograd::autogradNotImplementedFallback());
  m.impl("gated_dual_flow_warp_backward", torch::autograd::autogradNotImplementedFallback());
}

TORCH_LIBRARY_IMPL(sfnet_mm, AutocastCPU, m) {
  m.impl("flow_warp", &warp_autocast<c10::DispatchKey::AutocastCPU>);
  m.impl("gated_dual_flow_warp", &dual_autocast<c10::DispatchKey::AutocastCPU>);
}

TORCH_LIBRARY_IMPL(sfnet_mm, AutocastCUDA, m) {
  m.impl("flow_warp", &warp_autocast<c10::DispatchKey::AutocastCUDA>);
  m.impl("gated_dual_flow_warp", &dual_autocast<c10::DispatchKey::AutocastCUDA>);
}

TORCH_LIBRARY_IMPL(sfnet_mm, Meta, m) {
  m.impl("flow_warp", &warp_meta);
  m.impl("flow_warp_backward", &warp_backward_meta);
  m.impl("gated_dual_flow_warp", &dual_meta);
  m.impl("gated_dual_flow_warp_backward", &dual_backward_meta);
}

}  // namespace sfnet_mm
