// The gradients of the maps in the NCHW layout. Included inside namespace SFNET_ISA.

// Scatter: a task owns whole channels. `Pixel` is a sample with four corners in the map, or has
// offset -1; `Edge` is one with fewer, whose missing corners have offset 0 and weight 0.
template <typename A>
struct Pixel {
  A fx, fy, share;
  int32_t offset;
};
template <typename A>
struct Edge {
  A weight[4];
  int32_t offset[4];
  int32_t pixel;
};

template <typename T>
static void index_cf(const Problem& p, int m, int64_t image, Index* index) {
  using A = acc_t<T>;
  const MapView<A> view = view_of<A>(p, m, image);
  auto* const pixels = static_cast<Pixel<A>*>(index->entries);
  auto* const edges = static_cast<Edge<A>*>(index->edges);
  const int32_t w = view.ax.size;
  int64_t num_edges = 0;
  for (int64_t i = 0, pixel = 0; i < p.h; ++i) {
    for (int64_t j = 0; j < p.w; ++j, ++pixel) {
      const Sample<A> s =
          take_sample(view.ax, view.ay, j, i, view.flow_x[pixel], view.flow_y[pixel]);
      const A share = share_of<A>(p, m, image, pixel);
      pixels[pixel] = {A(0), A(0), A(0), -1};
      if (!s.valid) continue;
      if (s.dx0 * s.dx1 * s.dy0 * s.dy1 != A(0)) {
        pixels[pixel] = {s.wx1, s.wy1, share, s.y0 * w + s.x0};
        continue;
      }
      edges[num_edges++] = {{share * s.wy0 * s.wx0, share * s.wy0 * s.wx1, share * s.wy1 * s.wx0,
                             share * s.wy1 * s.wx1},
                            {s.y0 * w + s.x0, s.y0 * w + s.x1, s.y1 * w + s.x0, s.y1 * w + s.x1},
                            int32_t(pixel)};
    }
  }
  index->num_edges = num_edges;
}

// The gradients of CH channels at once, `stride` apart in the output and `size` in the map.
template <typename T, int CH>
static void scatter_channels(const Problem& p, int m, const Index& index, const T* grad,
                             int64_t stride, acc_t<T>* to, int64_t size) {
  using A = acc_t<T>;
  const int64_t w = p.map_w[m];
  const auto* const pixels = static_cast<const Pixel<A>*>(index.entries);
  const auto* const edges = static_cast<const Edge<A>*>(index.edges);
  // Neighboring output pixels often fall into one cell of the map: sum those in registers.
  int32_t cell = -1;
  A sum[CH][4] = {};
  const auto flush = [&] {
    if (cell < 0) return;
    for (int c = 0; c < CH; ++c) {
      A* const at = to + c * size + cell;
      at[0] += sum[c][0];
      at[1] += sum[c][1];
      at[w] += sum[c][2];
      at[w + 1] += sum[c][3];
    }
  };
  for (int64_t k = 0; k < stride; ++k) {
    const Pixel<A>& s = pixels[k];
    if (s.offset < 0) continue;
    if (s.offset != cell) {
      flush();
      cell = s.offset;
      for (int c = 0; c < CH; ++c) sum[c][0] = sum[c][1] = sum[c][2] = sum[c][3] = A(0);
    }
    const A left = s.share * (A(1) - s.fx), right = s.share * s.fx;
    const A weight[4] = {left * (A(1) - s.fy), right * (A(1) - s.fy), left * s.fy, right * s.fy};
    for (int c = 0; c < CH; ++c) {
      const A g = to_acc(grad[c * stride + k]);
      for (int corner = 0; corner < 4; ++corner) sum[c][corner] += g * weight[corner];
    }
  }
  flush();
  for (int64_t e = 0; e < index.num_edges; ++e) {
    for (int c = 0; c < CH; ++c) {
      const A g = to_acc(grad[c * stride + edges[e].pixel]);
      for (int k = 0; k < 4; ++k) to[c * size + edges[e].offset[k]] += g * edges[e].weight[k];
    }
  }
}

// Where the sums of a gradient are built: in place, or in the buffer if they need more digits.
static inline float* sums_of(float* out, void*) { return out; }
static inline double* sums_of(double* out, void*) { return out; }
template <typename T>
static inline float* sums_of(T*, void* buffer) {
  return static_cast<float*>(buffer);
}

template <typename T>
static void scatter_cf(const Problem& p, int m, int64_t image, const Index& index, int64_t begin,
                       int64_t end, void* buffer) {
  using A = acc_t<T>;
  const int64_t size = p.map_h[m] * p.map_w[m], out_size = p.h * p.w;
  for (int64_t c = begin; c < end;) {
    const int64_t count = end - c >= kTogether ? kTogether : 1;
    const T* const grad = static_cast<const T*>(p.grad) + (image * p.c + c) * out_size;
    T* const out = static_cast<T*>(p.grad_map[m]) + (image * p.c + c) * size;
    A* const sums = sums_of(out, buffer);
    for (int64_t k = 0; k < count * size; ++k) sums[k] = A(0);
    if (count == kTogether) {
      scatter_channels<T, kTogether>(p, m, index, grad, out_size, sums, size);
    } else {
      scatter_channels<T, 1>(p, m, index, grad, out_size, sums, size);
    }
    if (static_cast<void*>(sums) != out) {
      for (int64_t k = 0; k < count * size; ++k) from_acc(sums[k], out + k);
    }
    c += count;
  }
}
