// The CPU kernels of one instruction set. The including file defines SFNET_ISA, the namespace.
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../coordinates.h"
#include "kernels.h"

#define SFNET_INLINE inline __attribute__((always_inline))

namespace sfnet_mm {
namespace cpu {
namespace SFNET_ISA {

#include "vec.inl.h"
#include "channels_last.inl.h"

// Calls `visit` with a null pointer of the element type of the problem.
template <typename F>
static auto with_type(const Problem& p, F&& visit) {
  switch (p.kind) {
    case Kind::f64: return visit(static_cast<double*>(nullptr));
    case Kind::f16: return visit(static_cast<half_t*>(nullptr));
    case Kind::bf16: return visit(static_cast<bfloat16_t*>(nullptr));
    default: return visit(static_cast<float*>(nullptr));
  }
}
template <typename T>
struct TypeOf;
template <typename T>
struct TypeOf<T*> {
  using type = T;
};
#define SFNET_TYPE(tag) typename TypeOf<decltype(tag)>::type

static void forward(const Problem& p, int64_t begin, int64_t end) {
  with_type(p, [&](auto* tag) { forward_cl<SFNET_TYPE(tag)>(p, begin, end); });
}
static void backward_flow(const Problem& p, int64_t begin, int64_t end) {
  with_type(p, [&](auto* tag) { backward_flow_cl<SFNET_TYPE(tag)>(p, begin, end); });
}
static int64_t entry_bytes(const Problem& p) {
  return with_type(p, [&](auto* tag) { return int64_t(sizeof(Entry<acc_t<SFNET_TYPE(tag)>>)); });
}
static void index(const Problem& p, int map, int64_t image, Index* index) {
  with_type(p, [&](auto* tag) { index_cl<SFNET_TYPE(tag)>(p, map, image, index); });
}
static int64_t scatter_bytes(const Problem& p, int map, int64_t channels) {
  return with_type(p, [&](auto* tag) {
    return int64_t(sizeof(acc_t<SFNET_TYPE(tag)>)) * 2 * (p.map_w[map] + 2) * channels;
  });
}
static void scatter(const Problem& p, int map, int64_t image, const Index& index, int64_t begin,
                    int64_t end, int64_t channel, int64_t channels, void* buffer) {
  with_type(p, [&](auto* tag) {
    scatter_cl<SFNET_TYPE(tag)>(p, map, image, index, begin, end, channel, channels, buffer);
  });
}

static const Kernels kernels = {
#define SFNET_TEXT_(x) #x
#define SFNET_TEXT(x) SFNET_TEXT_(x)
    SFNET_TEXT(SFNET_ISA), forward, backward_flow, entry_bytes, index, scatter_bytes, scatter};

}  // namespace SFNET_ISA
}  // namespace cpu
}  // namespace sfnet_mm
