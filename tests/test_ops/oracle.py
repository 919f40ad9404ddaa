"""The flow warp and its gradients once more: a loop over pixels in float64, from the definition.

Nothing here shares code or a library function with what is tested. Positions are worked out in
pixels of the sampled map and every corner is asked whether it is inside.
"""

import math

import numpy as np


def position(index, flow, size, out_size):
    """Where output index ``index`` reads along one axis, in pixels of a map of ``size``."""
    center = -1.0 if out_size == 1 else -1.0 + 2.0 * index / (out_size - 1)
    return (center + flow / out_size + 1.0) / 2.0 * (size - 1)


def corners(flow_x, flow_y, i, j, size, out_size):
    """The pixels around a sample as (y, x, weight, d weight / d flow_x, d weight / d flow_y)."""
    if not (math.isfinite(flow_x) and math.isfinite(flow_y)):
        return []
    y, x = position(i, flow_y, size[0], out_size[0]), position(j, flow_x, size[1], out_size[1])
    if not (-1 < y < size[0] and -1 < x < size[1]):
        return []
    found = []
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if not (0 <= row < size[0] and 0 <= column < size[1]):
                continue
            wy, wx = 1 - abs(y - row), 1 - abs(x - column)
            unit_x = (size[1] - 1) / (2 * out_size[1])
            unit_y = (size[0] - 1) / (2 * out_size[0])
            slope_x = unit_x if column > math.floor(x) else -unit_x
            slope_y = unit_y if row > math.floor(y) else -unit_y
            found.append((row, column, wy * wx, wy * slope_x, slope_y * wx))
    return found


def flow_warp(x, flow):
    x, flow = np.asarray(x, np.float64), np.asarray(flow, np.float64)
    n, c = x.shape[:2]
    out = np.zeros((n, c, *flow.shape[2:]))
    for b, i, j in np.ndindex(n, *flow.shape[2:]):
        for row, column, weight, _, _ in corners(
            flow[b, 0, i, j], flow[b, 1, i, j], i, j, x.shape[2:], flow.shape[2:]
        ):
            out[b, :, i, j] += weight * x[b, :, row, column]
    return out


def flow_warp_backward(grad, x, flow):
    """The gradients of ``sum(grad * flow_warp(x, flow))`` by x and flow."""
    grad, x, flow = (np.asarray(t, np.float64) for t in (grad, x, flow))
    grad_x, grad_flow = np.zeros(x.shape), np.zeros(flow.shape)
    for b, i, j in np.ndindex(x.shape[0], *flow.shape[2:]):
        for row, column, weight, slope_x, slope_y in corners(
            flow[b, 0, i, j], flow[b, 1, i, j], i, j, x.shape[2:], flow.shape[2:]
        ):
            dot = grad[b, :, i, j] @ x[b, :, row, column]
            grad_x[b, :, row, column] += weight * grad[b, :, i, j]
            grad_flow[b, 0, i, j] += slope_x * dot
            grad_flow[b, 1, i, j] += slope_y * dot
    return grad_x, grad_flow


def shares(gate):
    return (1.0, 1.0) if gate is None else (np.asarray(gate, np.float64), 1.0 - np.asarray(gate))


def gated_dual_flow_warp(high, low, flow, gate=None):
    of_high, of_low = shares(gate)
    flow = np.asarray(flow, np.float64)
    return flow_warp(high, flow[:, :2]) * of_high + flow_warp(low, flow[:, 2:]) * of_low


def gated_dual_flow_warp_backward(grad, high, low, flow, gate=None):
    """Gradients by high, low, flow and gate; the last is missing where there is no gate."""
    grad, flow = np.asarray(grad, np.float64), np.asarray(flow, np.float64)
    of_high, of_low = shares(gate)
    grad_high, high_flow = flow_warp_backward(grad * of_high, high, flow[:, :2])
    grad_low, low_flow = flow_warp_backward(grad * of_low, low, flow[:, 2:])
    grads = [grad_high, grad_low, np.concatenate((high_flow, low_flow), axis=1)]
    if gate is not None:
        difference = flow_warp(high, flow[:, :2]) - flow_warp(low, flow[:, 2:])
        grads.append((grad * difference).sum(axis=1, keepdims=True))
    return grads
