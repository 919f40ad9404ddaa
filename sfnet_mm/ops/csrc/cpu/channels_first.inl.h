// Kernels of the NCHW layout: neighboring numbers are neighboring pixels of one channel, so the
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

// Calls visit(image, strips, number of strips) for the output rows begin to end, several rows of
// one image at a time: a channel is then read and written in runs that are long enough to be fetched
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
// (left, right) of four pixels: the pixels at offset[0..3] and their right neighbors. A pair is
// moved as one double, of no particular alignment.
typedef double pair_t __attribute__((aligned(4), may_alias));

SFNET_INLINE __m256 load_pairs(const float* plane, const int32_t* offset) {
  const auto pair = [&](int k) { return *reinterpret_cast<const pair_t*>(plane + offset[k]); };
  const __m128d low = _mm_set_pd(pair(1), pair(0));
  const __m128d high = _mm_set_pd(pair(3), pair(2));
  return _mm256_castpd_ps(_mm256_insertf128_pd(_mm256_castpd128_pd256(low), high, 1));
}

// Two channels at once, so that offsets and weights are fetched once for both.
template <int MAPS>
static int64_t blend_pairs(const Strip<float>& s, const float* const (*plane)[2],
                           const int64_t* width, float* const* out) {
  int64_t k = 0;
  for (; k + 8 <= s.size; k += 8) {
    __m256 sum[2][2];
    for (int half = 0; half < 2; ++half) {
      const int64_t at = k + 4 * half;
      __m256 first = _mm256_setzero_ps(), second = _mm256_setzero_ps();
      for (int m = 0; m < MAPS; ++m) {
        const int32_t* const offset = s.offset[m] + at;
        for (int row = 0; row < 2; ++row) {
          const __m256 weight = _mm256_loadu_ps(s.pairs[m][row] + 2 * at);
          const int64_t down = row * width[m];
          first = _mm256_fmadd_ps(load_pairs(plane[0][m] + down, offset), weight, first);
          second = _mm256_fmadd_ps(load_pairs(plane[1][m] + down, offset), weight, second);
        }
      }
      sum[0][half] = first;
      sum[1][half] = second;
    }
    for (int c = 0; c < 2; ++c) {
      // The horizontal sum leaves the pixels as 0 1 4 5 2 3 6 7.
      const __m256d mixed = _mm256_castps_pd(_mm256_hadd_ps(sum[c][0], sum[c][1]));
      _mm256_storeu_ps(out[c] + k, _mm256_castpd_ps(_mm256_permute4x64_pd(mixed, 0xd8)));
    }
  }
  return k;
}
#endif

// Blends the first pixels of a strip in two channels, and returns how many it did.
template <typename T>
struct FastBlend {
  static int64_t run(const Problem&, const Strip<acc_t<T>>&, const T* const (*)[2], T* const*) {
    return 0;
  }
};
#if defined(SFNET_AVX2)
template <>
struct FastBlend<float> {
  static int64_t run(const Problem& p, const Strip<float>& s, const float* const (*plane)[2],
                     float* const* out) {
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
    for (int64_t c = 0; c < p.c; c += 2) {
      const int channels = c + 1 < p.c ? 2 : 1;
      const T* plane[2][2];
      for (int k = 0; k < channels; ++k) planes_of(p, image, c + k, plane[k]);
      for (const Strip<A>* strip = strips; strip < strips + count; ++strip) {
        T* to[2];
        for (int k = 0; k < channels; ++k) {
          to[k] = static_cast<T*>(p.out) +
                  ((image * p.c + c + k) * p.h + strip->row) * p.w + strip->start;
        }
        const auto one = [&](int64_t k) {
          for (int channel = 0; channel < channels; ++channel) {
            A sum = A(0);
            for (int m = 0; m < p.maps; ++m) {
              const Sample<A>& s = strip->sample[m][k];
              if (!s.valid) continue;
              sum += strip->share[m][k] * read(plane[channel][m], p.map_w[m], s);
            }
            from_acc(sum, to[channel] + k);
          }
        };
        const int64_t done = channels == 2 ? FastBlend<T>::run(p, *strip, plane, to) : 0;
        for (int64_t k = done; k < strip->size; ++k) one(k);
        const int64_t again = done > 0 ? strip->num_outer : 0;
        for (int64_t e = 0; e < again; ++e) {
          if (strip->outer[e] < done) one(strip->outer[e]);
        }
      }
    }
  });
}

// Adds grad times the four corners of the first pixels of a strip, for two channels, and returns
// how many pixels it did; pixels that are not inner get sums that mean nothing.
template <typename T>
struct FastDot {
  static int64_t run(const Problem&, const Strip<acc_t<T>>&, const T* const*, const T* const (*)[2],
                     acc_t<T> (*)[2][2 * kStrip]) {
    return 0;
  }
};
#if defined(SFNET_AVX2)
template <>
struct FastDot<float> {
  static int64_t run(const Problem& p, const Strip<float>& s, const float* const* grad,
                     const float* const (*plane)[2], float (*pairs)[2][2 * kStrip]) {
    if (!has_pairs<float>(p)) return 0;
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    int64_t k = 0;
    for (; k + 4 <= s.size; k += 4) {
      __m256 g[2];
      for (int c = 0; c < 2; ++c) {
        const __m256 four = _mm256_castps128_ps256(_mm_loadu_ps(grad[c] + k));
        g[c] = _mm256_permutevar8x32_ps(four, twice);
      }
      for (int m = 0; m < p.maps; ++m) {
        for (int row = 0; row < 2; ++row) {
          float* const at = pairs[m][row] + 2 * k;
          const int64_t down = row * p.map_w[m];
          __m256 sum = _mm256_loadu_ps(at);
          for (int c = 0; c < 2; ++c) {
            sum = _mm256_fmadd_ps(load_pairs(plane[c][m] + down, s.offset[m] + k), g[c], sum);
          }
          _mm256_storeu_ps(at, sum);
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
static void add_channels(const Problem& p, const Strip<acc_t<T>>& strip, int channels,
                         const T* const* grad, const T* const (*plane)[2],
                         Dots<acc_t<T>>* dots) {
  using A = acc_t<T>;
  const auto one = [&](int c, int m, int64_t k) {
    const Sample<A>& s = strip.sample[m][k];
    if (!s.valid) return;
    const A g = to_acc(grad[c][k]);
    const T* const top = plane[c][m] + s.y0 * p.map_w[m];
    const T* const bottom = plane[c][m] + s.y1 * p.map_w[m];
    dots->corner[m][0][k] += g * to_acc(top[s.x0]);
    dots->corner[m][1][k] += g * to_acc(top[s.x1]);
    dots->corner[m][2][k] += g * to_acc(bottom[s.x0]);
    dots->corner[m][3][k] += g * to_acc(bottom[s.x1]);
  };
  const int64_t done = channels == 2 ? FastDot<T>::run(p, strip, grad, plane, dots->pairs) : 0;
  if (done > 0) dots->done = done;
  for (int c = 0; c < channels; ++c) {
    for (int m = 0; m < p.maps; ++m) {
      for (int64_t e = 0; e < (done > 0 ? strip.num_outer : 0); ++e) {
        if (strip.outer[e] < done) one(c, m, strip.outer[e]);
      }
      for (int64_t k = done; k < strip.size; ++k) one(c, m, k);
    }
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
        dots->corner[m][corner][k] += dots->pairs[m][corner / 2][2 * k + corner % 2];
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
    for (int64_t c = 0; c < p.c; c += 2) {
      const int channels = c + 1 < p.c ? 2 : 1;
      const T* plane[2][2];
      for (int k = 0; k < channels; ++k) planes_of(p, image, c + k, plane[k]);
      for (int64_t k = 0; k < count; ++k) {
        const T* grad[2];
        for (int n = 0; n < channels; ++n) {
          grad[n] = static_cast<const T*>(p.grad) +
                    ((image * p.c + c + n) * p.h + strips[k].row) * p.w + strips[k].start;
        }
        add_channels<T>(p, strips[k], channels, grad, plane, dots + k);
      }
    }
    for (int64_t k = 0; k < count; ++k) finish_strip(p, strips[k], image, dots + k);
    delete[] dots;
  });
}
