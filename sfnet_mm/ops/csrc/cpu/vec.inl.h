// Eight numbers at a time: the element types with their loads and stores. Included once per
// instruction set, inside namespace SFNET_ISA.

struct half_t {
  uint16_t bits;
};
struct bfloat16_t {
  uint16_t bits;
};

static inline float bits_to_float(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
static inline uint32_t float_to_bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}

static inline float to_acc(float x) { return x; }
static inline double to_acc(double x) { return x; }
static inline float to_acc(bfloat16_t x) { return bits_to_float(uint32_t(x.bits) << 16); }
static inline void from_acc(float x, float* p) { *p = x; }
static inline void from_acc(double x, double* p) { *p = x; }
static inline void from_acc(float x, bfloat16_t* p) {
  const uint32_t bits = float_to_bits(x);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  // Round to nearest, ties to even; a NaN must not be rounded into an infinity.
  p->bits = nan ? 0x7fc0 : uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#if defined(SFNET_AVX2)
static inline float to_acc(half_t x) { return _cvtsh_ss(x.bits); }
static inline void from_acc(float x, half_t* p) { p->bits = _cvtss_sh(x, 0); }
#else
static inline float to_acc(half_t x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000u) << 16;
  const uint32_t rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  // 2^112 moves the exponent bias of half to the one of float, subnormals included.
  const float scaled = bits_to_float(rest << 13) * 5.192296858534828e33f;
  return bits_to_float(sign | float_to_bits(scaled));
}
static inline void from_acc(float x, half_t* p) {
  const uint32_t bits = float_to_bits(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) {
    p->bits = uint16_t(sign | 0x7e00u);
  } else if (rest >= 0x477ff000u) {  // 65520 and more round to infinity
    p->bits = uint16_t(sign | 0x7c00u);
  } else if (rest < 0x38800000u) {  // below 2^-14: adding 0.5 rounds to the subnormal spacing
    p->bits = uint16_t(sign | (float_to_bits(bits_to_float(rest) + 0.5f) - 0x3f000000u));
  } else {
    rest += 0xfffu + ((rest >> 13) & 1u);
    p->bits = uint16_t(sign | ((rest - 0x38000000u) >> 13));
  }
}
#endif

typedef float float8 __attribute__((vector_size(32)));
typedef double double8 __attribute__((vector_size(64)));
template <typename A>
struct VecOf {
  using type = float8;
};
template <>
struct VecOf<double> {
  using type = double8;
};
template <typename A>
using vec_t = typename VecOf<A>::type;
constexpr int64_t kLanes = 8;

template <typename T>
SFNET_INLINE void load8(const T* p, vec_t<acc_t<T>>* v) {
  *v = vec_t<acc_t<T>>{};
  for (int k = 0; k < kLanes; ++k) (*v)[k] = to_acc(p[k]);
}
template <typename T>
SFNET_INLINE void store8(T* p, const vec_t<acc_t<T>>* v) {
  for (int k = 0; k < kLanes; ++k) from_acc((*v)[k], p + k);
}
template <>
SFNET_INLINE void load8(const float* p, float8* v) {
  __builtin_memcpy(v, p, 32);
}
template <>
SFNET_INLINE void store8(float* p, const float8* v) {
  __builtin_memcpy(p, v, 32);
}
template <>
SFNET_INLINE void load8(const double* p, double8* v) {
  __builtin_memcpy(v, p, 64);
}
template <>
SFNET_INLINE void store8(double* p, const double8* v) {
  __builtin_memcpy(p, v, 64);
}
#if defined(SFNET_AVX2)
template <>
SFNET_INLINE void load8(const half_t* p, float8* v) {
  *v = (float8)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
template <>
SFNET_INLINE void store8(half_t* p, const float8* v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)*v, 0));
}
template <>
SFNET_INLINE void load8(const bfloat16_t* p, float8* v) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  *v = (float8)_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
template <>
SFNET_INLINE void store8(bfloat16_t* p, const float8* v) {
  const __m256 x = (__m256)*v;
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  up = _mm256_srli_epi32(up, 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  up = _mm256_blendv_epi8(up, _mm256_set1_epi32(0x7fc0), nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(up, up), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
#endif

template <typename A>
SFNET_INLINE A sum8(const vec_t<A>& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
