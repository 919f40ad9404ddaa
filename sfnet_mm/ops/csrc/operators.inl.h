// The operators of one device, in terms of its forward() and backward(). Included inside the
// namespace that has these two, with torch/library.h included before.

Tensor flow_warp(const Tensor& x, const Tensor& flow) {
  check_warp(x, flow);
  return forward({x}, flow, std::nullopt);
}

Grads2 flow_warp_backward(const Tensor& grad, const Tensor& x, const Tensor& flow) {
  check_warp(x, flow);
  check_grad(grad, x, flow);
  const Gradients g = backward(grad, {x}, flow, std::nullopt);
  return {g.maps[0], g.flow};
}

Tensor gated_dual_flow_warp(const Tensor& high, const Tensor& low, const Tensor& flow,
                            const OptionalTensor& gate) {
  check_dual(high, low, flow, gate);
  return forward({high, low}, flow, gate);
}

Grads4 gated_dual_flow_warp_backward(const Tensor& grad, const Tensor& high, const Tensor& low,
                                     const Tensor& flow, const OptionalTensor& gate) {
  check_dual(high, low, flow, gate);
  check_grad(grad, low, flow);
  const Gradients g = backward(grad, {high, low}, flow, gate);
  return {g.maps[0], g.maps[1], g.flow, g.gate};
}

void implement(torch::Library& m) {
  m.impl("flow_warp", &flow_warp);
  m.impl("flow_warp_backward", &flow_warp_backward);
  m.impl("gated_dual_flow_warp", &gated_dual_flow_warp);
  m.impl("gated_dual_flow_warp_backward", &gated_dual_flow_warp_backward);
}
