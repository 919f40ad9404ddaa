// Kernels of the channels_last layout: the channels of a pixel lie side by side, so that a corner
// is one contiguous read. Included inside namespace SFNET_ISA.

// The axes of one map and where its flow lies.
template <typename A>
struct MapView {
  Axis<A> ax, ay;
  const A* flow_x;
  const A* flow_y;
};

template <typename A>
static inline MapView<A> view_of(const Problem& p, int m, int64_t image) {
  const int64_t plane = p.h * p.w;
  const A* flow = static_cast<const A*>(p.flow) + (image * 2 * p.maps + 2 * m) * plane;
  return {make_axis<A>(p.map_w[m], p.w), make_axis<A>(p.map_h[m], p.h), flow, flow + plane};
}

// The share of map m in the blend at a pixel of the output.
template <typename A>
static inline A share_of(const Problem& p, int m, int64_t image, int64_t pixel) {
  if (!p.gate) return A(1);
  const A gate = static_cast<const A*>(p.gate)[image * p.h * p.w + pixel];
  return m == 0 ? gate : A(1) - gate;
}

// The four corners of a sample as pointers to their channels.
template <typename T, typename A>
static inline void corners_of(const T* map, const Sample<A>& s, int64_t w, int64_t c,
                              const T** at) {
  at[0] = map + (s.y0 * w + s.x0) * c;
  at[1] = map + (s.y0 * w + s.x1) * c;
  at[2] = map + (s.y1 * w + s.x0) * c;
  at[3] = map + (s.y1 * w + s.x1) * c;
}

template <typename T, int K>
SFNET_INLINE void blend(const T* const* at, const acc_t<T>* weight, T* out, int64_t c) {
  using A = acc_t<T>;
  using V = vec_t<A>;
  V w[K];
  for (int k = 0; k < K; ++k) w[k] = weight[k] - V{};
  int64_t i = 0;
  for (; i + kLanes <= c; i += kLanes) {
    V sum, v;
    load8(at[0] + i, &v);
    sum = v * w[0];
    for (int k = 1; k < K; ++k) {
      load8(at[k] + i, &v);
      sum += v * w[k];
    }
    store8(out + i, &sum);
  }
  for (; i < c; ++i) {
    A sum = to_acc(at[0][i]) * weight[0];
    for (int k = 1; k < K; ++k) sum += to_acc(at[k][i]) * weight[k];
    from_acc(sum, out + i);
  }
}

template <typename T>
static void forward_cl(const Problem& p, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  T* const out = static_cast<T*>(p.out);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / p.h, i = row % p.h;
    MapView<A> view[2];
    const T* map[2];
    for (int m = 0; m < p.maps; ++m) {
      view[m] = view_of<A>(p, m, image);
      map[m] = static_cast<const T*>(p.map[m]) + image * p.map_h[m] * p.map_w[m] * p.c;
    }
    for (int64_t j = 0; j < p.w; ++j) {
      const int64_t pixel = i * p.w + j;
      const T* at[8];
      A weight[8];
      int corners = 0;
      for (int m = 0; m < p.maps; ++m) {
        const Sample<A> s =
            take_sample(view[m].ax, view[m].ay, j, i, view[m].flow_x[pixel], view[m].flow_y[pixel]);
        if (!s.valid) continue;
        const A share = share_of<A>(p, m, image, pixel);
        corners_of(map[m], s, p.map_w[m], p.c, at + corners);
        weight[corners++] = share * s.wy0 * s.wx0;
        weight[corners++] = share * s.wy0 * s.wx1;
        weight[corners++] = share * s.wy1 * s.wx0;
        weight[corners++] = share * s.wy1 * s.wx1;
      }
      T* const to = out + (row * p.w + j) * p.c;
      if (corners == 8) {
        blend<T, 8>(at, weight, to, p.c);
      } else if (corners == 4) {
        blend<T, 4>(at, weight, to, p.c);
      } else {
        for (int64_t c = 0; c < p.c; ++c) from_acc(A(0), to + c);
      }
    }
  }
}

// Sums over the channels of grad * (derivative of the sample by x, by y, the sample itself).
template <typename T>
SFNET_INLINE void project(const T* grad, const T* const* at, const Sample<acc_t<T>>& s, int64_t c,
                          acc_t<T>* sums) {
  using A = acc_t<T>;
  using V = vec_t<A>;
  V dot[4] = {};
  int64_t i = 0;
  for (; i + kLanes <= c; i += kLanes) {
    V g, v;
    load8(grad + i, &g);
    for (int k = 0; k < 4; ++k) {
      load8(at[k] + i, &v);
      dot[k] += g * v;
    }
  }
  for (; i < c; ++i) {
    for (int k = 0; k < 4; ++k) dot[k][0] += to_acc(grad[i]) * to_acc(at[k][i]);
  }
  sums[0] = sum8<A>((dot[0] * s.dx0 + dot[1] * s.dx1) * s.wy0 +
                    (dot[2] * s.dx0 + dot[3] * s.dx1) * s.wy1);
  const V top = dot[0] * s.wx0 + dot[1] * s.wx1, bottom = dot[2] * s.wx0 + dot[3] * s.wx1;
  sums[1] = sum8<A>(top * s.dy0 + bottom * s.dy1);
  sums[2] = sum8<A>(top * s.wy0 + bottom * s.wy1);
}

template <typename T>
static void backward_flow_cl(const Problem& p, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  const int64_t plane = p.h * p.w;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / p.h, i = row % p.h;
    const T* const grad = static_cast<const T*>(p.grad) + row * p.w * p.c;
    for (int m = 0; m < p.maps; ++m) {
      const MapView<A> view = view_of<A>(p, m, image);
      const T* map = static_cast<const T*>(p.map[m]) + image * p.map_h[m] * p.map_w[m] * p.c;
      A* const grad_flow = static_cast<A*>(p.grad_flow) + (image * 2 * p.maps + 2 * m) * plane;
      A* const grad_gate = p.grad_gate ? static_cast<A*>(p.grad_gate) + image * plane : nullptr;
      for (int64_t j = 0; j < p.w; ++j) {
        const int64_t pixel = i * p.w + j;
        const Sample<A> s =
            take_sample(view.ax, view.ay, j, i, view.flow_x[pixel], view.flow_y[pixel]);
        A sums[3] = {A(0), A(0), A(0)};
        if (s.valid) {
          const T* at[4];
          corners_of(map, s, p.map_w[m], p.c, at);
          project<T>(grad + j * p.c, at, s, p.c, sums);
        }
        const A share = share_of<A>(p, m, image, pixel);
        grad_flow[pixel] = sums[0] * share * view.ax.unit;
        grad_flow[plane + pixel] = sums[1] * share * view.ay.unit;
        if (grad_gate) grad_gate[pixel] = m == 0 ? sums[2] : grad_gate[pixel] - sums[2];
      }
    }
  }
}

// Scatter: the pixels of the output are sorted by the map row they fall on, and each task owns a
// band of map rows, so that no two tasks write to the same place and every sum has one order.
template <typename A>
struct Entry {
  A fx, fy, share;
  int32_t x, pixel;
};

template <typename T>
static void index_cl(const Problem& p, int m, int64_t image, Index* index) {
  using A = acc_t<T>;
  const MapView<A> view = view_of<A>(p, m, image);
  const int64_t rows = p.map_h[m] + 1;  // the row above the map included
  int64_t* const first = index->first;
  for (int64_t r = 0; r <= rows; ++r) first[r] = 0;
  const auto each = [&](auto&& visit) {
    for (int64_t i = 0, pixel = 0; i < p.h; ++i) {
      for (int64_t j = 0; j < p.w; ++j, ++pixel) {
        int32_t x, y;
        A fx, fy;
        const bool in_y = locate(view.ay, i, view.flow_y[pixel], &y, &fy);
        if (in_y && locate(view.ax, j, view.flow_x[pixel], &x, &fx)) visit(pixel, x, y, fx, fy);
      }
    }
  };
  each([&](int64_t, int32_t, int32_t y, A, A) { ++first[y + 2]; });
  for (int64_t r = 1; r <= rows; ++r) first[r] += first[r - 1];
  // first[r] is where row r - 1 starts; filling moves it to where that row ends, which is where the
  // next one starts: afterward row y has the entries first[y] to first[y + 1], first[-1] being 0.
  auto* const entries = static_cast<Entry<A>*>(index->entries);
  each([&](int64_t pixel, int32_t x, int32_t y, A fx, A fy) {
    entries[first[y + 1]++] = {fx, fy, share_of<A>(p, m, image, pixel), x, int32_t(pixel)};
  });
}

template <typename T>
SFNET_INLINE void add_scaled(const T* grad, acc_t<T> left, acc_t<T> right, acc_t<T>* to_left,
                             acc_t<T>* to_right, int64_t c) {
  using V = vec_t<acc_t<T>>;
  int64_t i = 0;
  for (; i + kLanes <= c; i += kLanes) {
    V g, v;
    load8(grad + i, &g);
    load8(to_left + i, &v);
    v += g * left;
    store8(to_left + i, &v);
    load8(to_right + i, &v);
    v += g * right;
    store8(to_right + i, &v);
  }
  for (; i < c; ++i) {
    to_left[i] += to_acc(grad[i]) * left;
    to_right[i] += to_acc(grad[i]) * right;
  }
}

template <typename T>
static void scatter_cl(const Problem& p, int m, int64_t image, const Index& index, int64_t begin,
                       int64_t end, int64_t channel, int64_t channels, void* buffer) {
  using A = acc_t<T>;
  const int64_t width = p.map_w[m];
  // A pixel of padding on either side takes what falls outside, so that no corner needs a test.
  const int64_t line = (width + 2) * channels;
  A* const lines = static_cast<A*>(buffer);
  for (int64_t k = 0; k < 2 * line; ++k) lines[k] = A(0);
  const auto* const entries = static_cast<const Entry<A>*>(index.entries);
  const T* const grad = static_cast<const T*>(p.grad) + image * p.h * p.w * p.c + channel;
  T* const out = static_cast<T*>(p.grad_map[m]) + image * p.map_h[m] * width * p.c + channel;
  for (int64_t y = begin - 1; y < end; ++y) {
    A* const upper = lines + ((y - begin + 2) % 2) * line;
    A* const lower = lines + ((y - begin + 3) % 2) * line;
    const int64_t from = y < 0 ? 0 : index.first[y], to = index.first[y + 1];
    for (int64_t k = from; k < to; ++k) {
      const Entry<A>& e = entries[k];
      const T* const g = grad + e.pixel * p.c;
      const A left = e.share * (A(1) - e.fx), right = e.share * e.fx;
      const int64_t at = (e.x + 1) * channels;
      if (y >= begin) {
        add_scaled(g, left * (A(1) - e.fy), right * (A(1) - e.fy), upper + at,
                   upper + at + channels, channels);
      }
      if (y + 1 < end) {
        add_scaled(g, left * e.fy, right * e.fy, lower + at, lower + at + channels, channels);
      }
    }
    if (y < begin) continue;
    for (int64_t x = 0; x < width; ++x) {
      const A* const from_line = upper + (x + 1) * channels;
      T* const to_map = out + (y * width + x) * p.c;
      int64_t i = 0;
      for (; i + kLanes <= channels; i += kLanes) {
        vec_t<A> v;
        load8(from_line + i, &v);
        store8(to_map + i, &v);
      }
      for (; i < channels; ++i) from_acc(from_line[i], to_map + i);
    }
    for (int64_t k = 0; k < line; ++k) upper[k] = A(0);
  }
}
