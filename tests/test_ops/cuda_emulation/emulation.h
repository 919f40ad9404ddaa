// Enough of CUDA to run a kernel on the CPU: every thread of a block is a coroutine, and they take
// turns from one exchange or barrier to the next. Kernels must reach these together, which is what
// CUDA asks of them as well.
#pragma once

#include <cuda_runtime_api.h>
#include <ucontext.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <functional>
#include <vector>

#undef __global__
#define __global__
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)

struct Coroutine {
  ucontext_t context;
  std::vector<char> stack;
  uint3 index;
  bool done;
};

static uint3 threadIdx, blockIdx;
static dim3 block_size;
static ucontext_t scheduler;
static Coroutine* current;
static std::function<void()> body;
static double exchanged[1024];

static void pause() { swapcontext(&current->context, &scheduler); }

static void run_body() {
  body();
  current->done = true;
  pause();
}

inline void __syncthreads() { pause(); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  const unsigned me = threadIdx.x + threadIdx.y * block_size.x;
  exchanged[me] = value;
  pause();
  const T other = T(exchanged[me / 32 * 32 + (me % 32 ^ mask)]);
  pause();
  return other;
}

inline int atomicAdd(int* at, int value) {
  const int old = *at;
  *at += value;
  return old;
}

template <typename Kernel>
void launch(dim3 grid, dim3 block, Kernel kernel) {
  static std::vector<Coroutine> threads(1024);
  const unsigned count = block.x * block.y;
  body = kernel;
  block_size = block;
  for (unsigned b = 0; b < grid.x * grid.y * grid.z; ++b) {
    blockIdx = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
    for (unsigned t = 0; t < count; ++t) {
      Coroutine& c = threads[t];
      c.stack.resize(1 << 16);
      getcontext(&c.context);
      c.context.uc_stack.ss_sp = c.stack.data();
      c.context.uc_stack.ss_size = c.stack.size();
      c.context.uc_link = nullptr;
      c.index = {t % block.x, t / block.x, 0};
      c.done = false;
      makecontext(&c.context, run_body, 0);
    }
    for (bool waiting = true; waiting;) {
      waiting = false;
      for (unsigned t = 0; t < count; ++t) {
        if (threads[t].done) continue;
        waiting = true;
        current = &threads[t];
        threadIdx = current->index;
        swapcontext(&scheduler, &current->context);
      }
    }
  }
}
