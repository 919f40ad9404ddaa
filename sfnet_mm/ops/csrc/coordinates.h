// Where a semantic flow points to: the arithmetic that every kernel, forward and backward, CPU and
// CUDA, has in common. SFNet, https://arxiv.org/abs/2207.04415, section 3.3; the convention and
// the unit of the flow are stated in sfnet_mm/ops/flow_warp.py.
#pragma once

#include <stdint.h>

#if defined(__CUDACC__)
#define SFNET_HD static __host__ __device__ __forceinline__
#else
#define SFNET_HD static inline
#endif

namespace sfnet_mm {

// The type of positions and sums for maps of type T.
template <typename T>
struct AccOf {
  using type = float;
};
template <>
struct AccOf<double> {
  using type = double;
};
template <typename T>
using acc_t = typename AccOf<T>::type;

// One axis of a map of `size` pixels that is sampled for an output of `out_size` pixels. The
// position of output index j in pixels of the map is j * base + flow * unit. A side of one pixel
// has base = unit = 0: every finite flow stays on that pixel and an infinite one becomes NaN.
template <typename A>
struct Axis {
  A base;
  A unit;
  int32_t size;
};

template <typename A>
static inline Axis<A> make_axis(int64_t size, int64_t out_size) {
  Axis<A> axis;
  axis.base = out_size > 1 ? static_cast<A>(double(size - 1) / double(out_size - 1)) : A(0);
  axis.unit = static_cast<A>(double(size - 1) / (2.0 * double(out_size)));
  axis.size = static_cast<int32_t>(size);
  return axis;
}

SFNET_HD float floor_of(float x) { return __builtin_floorf(x); }
SFNET_HD double floor_of(double x) { return __builtin_floor(x); }

// The pixels lo and lo + 1 around a position and how far it is past lo, 0 to 1.
// lo is in [-1, size - 1]. Returns false, for a NaN as well, where neither pixel is in the map.
template <typename A>
SFNET_HD bool locate(const Axis<A>& axis, int64_t index, A flow, int32_t* lo, A* frac) {
  const A position = A(index) * axis.base + flow * axis.unit;
  if (!(position > A(-1) && position < A(axis.size))) {
    *lo = 0;
    *frac = A(0);
    return false;
  }
  const A below = floor_of(position);
  *lo = static_cast<int32_t>(below);
  *frac = position - below;
  return true;
}

// A sample of one map: the clamped corner indices and, per axis, the weight of either corner and
// its derivative by the position. A corner outside the map has weight and derivative zero, and is
// clamped onto its neighbor, which is inside.
template <typename A>
struct Sample {
  int32_t x0, x1, y0, y1;
  A wx0, wx1, wy0, wy1;
  A dx0, dx1, dy0, dy1;
  bool valid;
};

template <typename A>
SFNET_HD Sample<A> take_sample(const Axis<A>& ax, const Axis<A>& ay, int64_t j, int64_t i, A flow_x,
                               A flow_y) {
  Sample<A> s;
  int32_t x, y;
  A fx, fy;
  const bool in_x = locate(ax, j, flow_x, &x, &fx);
  const bool in_y = locate(ay, i, flow_y, &y, &fy);
  s.valid = in_x && in_y;
  const bool left = x >= 0, right = x + 1 < ax.size;
  const bool top = y >= 0, bottom = y + 1 < ay.size;
  s.x0 = left ? x : 0;
  s.x1 = right ? x + 1 : ax.size - 1;
  s.y0 = top ? y : 0;
  s.y1 = bottom ? y + 1 : ay.size - 1;
  s.wx0 = left ? A(1) - fx : A(0);
  s.wx1 = right ? fx : A(0);
  s.wy0 = top ? A(1) - fy : A(0);
  s.wy1 = bottom ? fy : A(0);
  s.dx0 = left ? A(-1) : A(0);
  s.dx1 = right ? A(1) : A(0);
  s.dy0 = top ? A(-1) : A(0);
  s.dy1 = bottom ? A(1) : A(0);
  return s;
}

}  // namespace sfnet_mm
