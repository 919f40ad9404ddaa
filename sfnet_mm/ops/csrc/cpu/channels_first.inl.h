// Kernels of the NCHW layout: neighbouring numbers are neighbouring pixels of one channel, so the
// samples of a strip of the output are worked out once and then used for every channel. Included
// inside namespace SFNET_ISA.

constexpr int64_t kStrip = 128;
constexpr int64_t kBlock = 32;     // strips that are worked on together
constexpr int64_t kTogether = 2;  // channels whose gradients are summed in one pass

// One pixel by itself, for all types and for the pixels that touch the border.
template <typename T>
SFNET_INLINE acc_t<T> read(const T* plane, int64_t w, const Sample<acc_t<T>>& s) {
  const T* const top = plane + s.y0 * w;
  const T* const bottom = plane + s.y1 * w;
  return s.wy0 * (s.wx0 * to_acc(top[s.x0]) + s.wx1 * to_acc(top[s.x1])) +
         s.wy1 * (s.wx0 * to_acc(bottom[s.x0]) + s.wx1 * to_acc(bottom[s.x1]));
}

// The samples of a strip. Where a sample has all four corners in the map (`inner`), the corners are
// the numbers at offset, offset + 1 and the same one map row further, with the weights in `pairs`;
// for the others that offset is 0 and the weights are 0.
template <typename A>
struct Strip {
  Sample<A> sample[2][kStrip];
  A share[2][kStrip];
  int32_t offset[2][kStrip];
  A pairs[2][2][2 * kStrip];  // map, top or bottom, (left, right) of each pixel
  int64_t outer[kStrip];      // pixels with a sample that is not inner
  int64_t num_outer;
  int64_t row, start, size;   // row of the output, first pixel in it
};

template <typename A>
static void fill_strip(const Problem& p, const MapView<A>* view, int64_t image, int64_t i,
                       int64_t start, Strip<A>* strip) {
  strip->row = i;
  strip->start = start;
  strip->size = p.w - start < kStrip ? p.w - start : kStrip;
  strip->num_outer = 0;
  for (int64_t k = 0; k < strip->size; ++k) {
    const int64_t pixel = i * p.w + start + k;
    bool all_inner = true;
    for (int m = 0; m < p.maps; ++m) {
      Sample<A>& s = strip->sample[m][k];
      s = take_sample(view[m].ax, view[m].ay, start + k, i, view[m].flow_x[pixel],
                      view[m].flow_y[pixel]);
      const A share = strip->share[m][k] = share_of<A>(p, m, image, pixel);
      const bool inner = s.valid && s.dx0 * s.dx1 * s.dy0 * s.dy1 != A(0);
      all_inner = all_inner && inner;
      strip->offset[m][k] = inner ? int32_t(s.y0 * p.map_w[m] + s.x0) : 0;
      const A top = inner ? share * s.wy0 : A(0), bottom = inner ? share * s.wy1 : A(0);
      strip->pairs[m][0][2 * k] = top * s.wx0;
      strip->pairs[m][0][2 * k + 1] = top * s.wx1;
      strip->pairs[m][1][2 * k] = bottom * s.wx0;
      strip->pairs[m][1][2 * k + 1] = bottom * s.wx1;
    }
    if (!all_inner) strip->outer[strip->num_outer++] = k;
  }
}

// Calls visit(image, strips, number of strips) for the output rows begin to end, several rows of one
// image at a time: a channel is then read and written in runs that are long enough to be fetched
// ahead, while the strips stay in the cache of the core.
template <typename A, typename Visit>
static void for_blocks(const Problem& p, int64_t begin, int64_t end, Visit&& visit) {
  const int64_t per_row = (p.w + kStrip - 1) / kStrip;
  const int64_t max_rows = per_row < kBlock ? kBlock / per_row : 1;
  auto* const strips = new Strip<A>[max_rows * per_row];
  for (int64_t row = begin; row < end;) {
    const int64_t image = row / p.h;
    MapView<A> view[2];
    for (int m = 0; m < p.maps; ++m) view[m] = view_of<A>(p, m, image);
    int64_t count = 0;
    const int64_t stop = row + max_rows;
    for (; row < end && row < stop && row / p.h == image; ++row) {
      for (int64_t start = 0; start < p.w; start += kStrip) {
        fill_strip(p, view, image, row % p.h, start, strips + count++);
      }
    }
    visit(image, strips, count);
  }
  delete[] strips;
}

template <typename A>
static inline bool has_pairs(const Problem& p) {
  for (int m = 0; m < p.maps; ++m) {
    if (p.map_h[m] < 2 || p.map_w[m] < 2) return false;
  }
  return true;
}

#if defined(SFNET_AVX2)
// (left, right) of four pixels: the pixels at offset[0..3] and their right neighbours. A pair is
// moved as one double, of no particular alignment.
typedef double pair_t __attribute__((aligned(4), may_alias));

SFNET_INLINE __m256 load_pairs(const float* plane, const int32_t* offset) {
  const auto pair = [&](int k) { return *reinterpret_cast<const pair_t*>(plane + offset[k]); };
  const __m128d low = _mm_set_pd(pair(1), pair(0));
  const __m128d high = _mm_set_pd(pair(3), pair(2));
  return _mm256_castpd_ps(_mm256_insertf128_pd(_mm256_castpd128_pd256(low), high, 1));
}

template <int MAPS>
static int64_t blend_pairs(const Strip<float>& s, const float* const* plane, const int64_t* width,
                           float* out) {
  int64_t k = 0;
  for (; k + 8 <= s.size; k += 8) {
    __m256 sum[2];
    for (int half = 0; half < 2; ++half) {
      const int64_t at = k + 4 * half;
      __m256 acc = _mm256_setzero_ps();
      for (int m = 0; m < MAPS; ++m) {
        const int32_t* const offset = s.offset[m] + at;
        acc = _mm256_fmadd_ps(load_pairs(plane[m], offset),
                              _mm256_loadu_ps(s.pairs[m][0] + 2 * at), acc);
        acc = _mm256_fmadd_ps(load_pairs(plane[m] + width[m], offset),
                              _mm256_loadu_ps(s.pairs[m][1] + 2 * at), acc);
      }
      sum[half] = acc;
    }
    // The horizontal sum leaves the pixels as 0 1 4 5 2 3 6 7.
    const __m256d mixed = _mm256_castps_pd(_mm256_hadd_ps(sum[0], sum[1]));
    _mm256_storeu_ps(out + k, _mm256_castpd_ps(_mm256_permute4x64_pd(mixed, 0xd8)));
  }
  return k;
}
#endif

template <typename T>
struct FastBlend {
  static int64_t run(const Problem&, const Strip<acc_t<T>>&, const T* const*, T*) { return 0; }
};
#if defined(SFNET_AVX2)
template <>
struct FastBlend<float> {
  static int64_t run(const Problem& p, const Strip<float>& s, const float* const* plane,
                     float* out) {
    if (!has_pairs<float>(p)) return 0;
    return p.maps == 2 ? blend_pairs<2>(s, plane, p.map_w, out)
                       : blend_pairs<1>(s, plane, p.map_w, out);
  }
};
#endif

template <typename T>
static void planes_of(const Problem& p, int64_t image, int64_t c, const T** plane) {
  for (int m = 0; m < p.maps; ++m) {
    plane[m] =
        static_cast<const T*>(p.map[m]) + (image * p.c + c) * p.map_h[m] * p.map_w[m];
  }
}

template <typename T>
static void forward_cf(const Problem& p, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  for_blocks<A>(p, begin, end, [&](int64_t image, const Strip<A>* strips, int64_t count) {
    for (int64_t c = 0; c < p.c; ++c) {
      const T* plane[2];
      planes_of(p, image, c, plane);
      for (const Strip<A>* strip = strips; strip < strips + count; ++strip) {
        T* const to = static_cast<T*>(p.out) +
                      ((image * p.c + c) * p.h + strip->row) * p.w + strip->start;
        const auto one = [&](int64_t k) {
          A sum = A(0);
          for (int m = 0; m < p.maps; ++m) {
            const Sample<A>& s = strip->sample[m][k];
            if (s.valid) sum += strip->share[m][k] * read(plane[m], p.map_w[m], s);
          }
          from_acc(sum, to + k);
        };
        const int64_t done = FastBlend<T>::run(p, *strip, plane, to);
        for (int64_t k = done; k < strip->size; ++k) one(k);
        const int64_t again = done > 0 ? strip->num_outer : 0;
        for (int64_t e = 0; e < again; ++e) one(strip->outer[e]);
      }
    }
  });
}

// Adds grad times the four corners of the inner pixels of a strip, for one channel.
template <typename T>
struct FastDot {
  static int64_t run(const Problem&, const Strip<acc_t<T>>&, const T*, const T* const*,
                     acc_t<T> (*)[2][2 * kStrip]) {
    return 0;
  }
};
#if defined(SFNET_AVX2)
template <>
struct FastDot<float> {
  static int64_t run(const Problem& p, const Strip<float>& s, const float* grad,
                     const float* const* plane, float (*pairs)[2][2 * kStrip]) {
    if (!has_pairs<float>(p)) return 0;
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    int64_t k = 0;
    for (; k + 4 <= s.size; k += 4) {
      const __m256 g =
          _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(grad + k)), twice);
      for (int m = 0; m < p.maps; ++m) {
        for (int row = 0; row < 2; ++row) {
          float* const sum = pairs[m][row] + 2 * k;
          const __m256 v = load_pairs(plane[m] + row * p.map_w[m], s.offset[m] + k);
          _mm256_storeu_ps(sum, _mm256_fmadd_ps(v, g, _mm256_loadu_ps(sum)));
        }
      }
    }
    return k;
  }
};
#endif

// The sums of one strip over the channels: grad times each corner, per map.
template <typename A>
struct Dots {
  A corner[2][4][kStrip];        // pixel by pixel
  A pairs[2][2][2 * kStrip];     // of the inner pixels that are done several at a time
  int64_t done;
};

template <typename T>
static void add_channel(const Problem& p, const Strip<acc_t<T>>& strip, const T* grad,
                        const T* const* plane, Dots<acc_t<T>>* dots) {
  using A = acc_t<T>;
  const auto one = [&](int m, int64_t k) {
    const Sample<A>& s = strip.sample[m][k];
    if (!s.valid) return;
    const A g = to_acc(grad[k]);
    const T* const top = plane[m] + s.y0 * p.map_w[m];
    const T* const bottom = plane[m] + s.y1 * p.map_w[m];
    dots->corner[m][0][k] += g * to_acc(top[s.x0]);
    dots->corner[m][1][k] += g * to_acc(top[s.x1]);
    dots->corner[m][2][k] += g * to_acc(bottom[s.x0]);
    dots->corner[m][3][k] += g * to_acc(bottom[s.x1]);
  };
  dots->done = FastDot<T>::run(p, strip, grad, plane, dots->pairs);
  const int64_t again = dots->done > 0 ? strip.num_outer : 0;
  for (int m = 0; m < p.maps; ++m) {
    for (int64_t e = 0; e < again; ++e) {
      if (strip.outer[e] < dots->done) one(m, strip.outer[e]);
    }
    for (int64_t k = dots->done; k < strip.size; ++k) one(m, k);
  }
}

template <typename A>
static void finish_strip(const Problem& p, const Strip<A>& strip, int64_t image,
                         Dots<A>* dots) {
  int64_t e = 0;
  for (int64_t k = 0; k < dots->done; ++k) {
    if (e < strip.num_outer && strip.outer[e] == k) {
      ++e;
      continue;
    }
    for (int m = 0; m < p.maps; ++m) {
      for (int corner = 0; corner < 4; ++corner) {
        dots->corner[m][corner][k] = dots->pairs[m][corner / 2][2 * k + corner % 2];
      }
    }
  }
  const int64_t plane = p.h * p.w, first = strip.row * p.w + strip.start;
  for (int m = 0; m < p.maps; ++m) {
    const MapView<A> view = view_of<A>(p, m, image);
    A* const grad_x = static_cast<A*>(p.grad_flow) + (image * 2 * p.maps + 2 * m) * plane + first;
    A* const grad_gate =
        p.grad_gate ? static_cast<A*>(p.grad_gate) + image * plane + first : nullptr;
    const auto& d = dots->corner[m];
    for (int64_t k = 0; k < strip.size; ++k) {
      const Sample<A>& s = strip.sample[m][k];
      const A top = d[0][k] * s.wx0 + d[1][k] * s.wx1;
      const A bottom = d[2][k] * s.wx0 + d[3][k] * s.wx1;
      const A by_x = (d[0][k] * s.dx0 + d[1][k] * s.dx1) * s.wy0 +
                     (d[2][k] * s.dx0 + d[3][k] * s.dx1) * s.wy1;
      const A share = s.valid ? strip.share[m][k] : A(0);
      grad_x[k] = share * view.ax.unit * by_x;
      grad_x[plane + k] = share * view.ay.unit * (top * s.dy0 + bottom * s.dy1);
      if (grad_gate) {
        const A value = s.valid ? top * s.wy0 + bottom * s.wy1 : A(0);
        grad_gate[k] = m == 0 ? value : grad_gate[k] - value;
      }
    }
  }
}

template <typename T>
static void backward_flow_cf(const Problem& p, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  for_blocks<A>(p, begin, end, [&](int64_t image, const Strip<A>* strips, int64_t count) {
    auto* const dots = new Dots<A>[count]();
    for (int64_t c = 0; c < p.c; ++c) {
      const T* plane[2];
      planes_of(p, image, c, plane);
      for (int64_t k = 0; k < count; ++k) {
        const T* const grad = static_cast<const T*>(p.grad) +
                              ((image * p.c + c) * p.h + strips[k].row) * p.w + strips[k].start;
        add_channel<T>(p, strips[k], grad, plane, dots + k);
      }
    }
    for (int64_t k = 0; k < count; ++k) finish_strip(p, strips[k], image, dots + k);
    delete[] dots;
  });
}

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
  // Neighbouring output pixels often fall into one cell of the map: sum those in registers.
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

template <typename T>
static void scatter_cf(const Problem& p, int m, int64_t image, const Index& index, int64_t begin,
                       int64_t end, void* buffer) {
  using A = acc_t<T>;
  const int64_t size = p.map_h[m] * p.map_w[m], out_size = p.h * p.w;
  A* const sums = static_cast<A*>(buffer);
  for (int64_t c = begin; c < end;) {
    const int64_t count = end - c >= kTogether ? kTogether : 1;
    const T* const grad = static_cast<const T*>(p.grad) + (image * p.c + c) * out_size;
    T* const out = static_cast<T*>(p.grad_map[m]) + (image * p.c + c) * size;
    for (int64_t k = 0; k < count * size; ++k) sums[k] = A(0);
    if (count == kTogether) {
      scatter_channels<T, kTogether>(p, m, index, grad, out_size, sums, size);
    } else {
      scatter_channels<T, 1>(p, m, index, grad, out_size, sums, size);
    }
    for (int64_t k = 0; k < count * size; ++k) from_acc(sums[k], out + k);
    c += count;
  }
}
