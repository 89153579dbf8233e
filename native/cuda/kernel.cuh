/* What every kernel file shares: element types, packed access, the loop over a grid.
 * Compiled by NVRTC without any header, by nvcc in CI, and by a host compiler for the emulation (HOST_CUDA).
 * Sizes are i64, no shuffles, no inline PTX outside of to_float and from_float, one HOST_KERNEL line a kernel:
 * HOST_KERNEL_SYNC where threads of a block wait for each other. */
#ifndef ISTHMUS_KERNEL_CUH
#define ISTHMUS_KERNEL_CUH

#ifdef HOST_CUDA
#include "host_cuda.h"
#else
#define HOST_KERNEL(name)
#define HOST_KERNEL_SYNC(name)
#endif

typedef long long i64;
typedef unsigned long long u64;

struct f16 {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;
};

#define INLINE static __device__ __forceinline__
#define INLINE_MEMBER __device__ __forceinline__
#define KERNEL extern "C" __global__ void __launch_bounds__(256)
/* Every kernel has blocks of this many threads. */
#define THREADS 256

INLINE float to_float(float x) { return x; }
INLINE float to_float(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

#ifdef HOST_CUDA
INLINE float to_float(f16 x) { return half_to_float(x.bits); }
#else
INLINE float to_float(f16 x) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.bits));
    return f;
}
#endif

template <class T> INLINE T from_float(float f);
template <> INLINE_MEMBER float from_float<float>(float f) { return f; }
template <> INLINE_MEMBER bf16 from_float<bf16>(float f) {
    /* To nearest, ties to even; a NaN stays one. */
    unsigned x = __float_as_uint(f);
    unsigned rounded = (x + 0x7fffu + ((x >> 16) & 1)) >> 16;
    bf16 r = {(unsigned short)((x & 0x7fffffffu) > 0x7f800000u ? (x >> 16) | 0x40u : rounded)};
    return r;
}
template <> INLINE_MEMBER f16 from_float<f16>(float f) {
    f16 r;
#ifdef HOST_CUDA
    r.bits = float_to_half(f);
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(f));
#endif
    return r;
}

/* V elements that are read or written at once. */
template <class T, int V> struct alignas(sizeof(T) * V) Pack {
    T v[V];
};

template <class T, int V> INLINE Pack<T, V> pack_at(const T *p, i64 i) { return *(const Pack<T, V> *)(p + i); }
template <class T, int V> INLINE void put_pack(T *p, i64 i, const Pack<T, V> &x) { *(Pack<T, V> *)(p + i) = x; }

/* The widest pack: 16 bytes. */
template <class T> struct Widest {
    static const int V = 16 / sizeof(T);
};

INLINE bool aligned(const void *a) { return ((u64)a & 15) == 0; }

INLINE i64 first_thread() { return blockIdx.x * (i64)blockDim.x + threadIdx.x; }
INLINE i64 all_threads() { return gridDim.x * (i64)blockDim.x; }

/* The loop of a thread over n places. */
#define EACH(i, n) for (i64 i = first_thread(); i < (n); i += all_threads())

/* One line a type: M(suffix, type). */
#define EVERY_TYPE(M) M(f32, float) M(f16, f16) M(bf16, bf16)

/* y[i] = f(x[i], i), 16 bytes at a time where both lie well. */
template <class T, class F> INLINE void map(const T *x, T *y, i64 n, F f) {
    const int V = Widest<T>::V;
    i64 packs = aligned(x) && aligned(y) ? n / V : 0;
    EACH(p, packs) {
        Pack<T, V> a = pack_at<T, V>(x, p * V), r;
#pragma unroll
        for (int j = 0; j < V; j++) r.v[j] = from_float<T>(f(to_float(a.v[j]), p * V + j));
        put_pack(y, p * V, r);
    }
    EACH(i, n - packs * V) y[packs * V + i] = from_float<T>(f(to_float(x[packs * V + i]), packs * V + i));
}

/* y[i] = f(a[i], b[i]). */
template <class T, class F> INLINE void map(const T *a, const T *b, T *y, i64 n, F f) {
    const int V = Widest<T>::V;
    i64 packs = aligned(a) && aligned(b) && aligned(y) ? n / V : 0;
    EACH(p, packs) {
        Pack<T, V> s = pack_at<T, V>(a, p * V), t = pack_at<T, V>(b, p * V), r;
#pragma unroll
        for (int j = 0; j < V; j++) r.v[j] = from_float<T>(f(to_float(s.v[j]), to_float(t.v[j])));
        put_pack(y, p * V, r);
    }
    EACH(i, n - packs * V) {
        i64 at = packs * V + i;
        y[at] = from_float<T>(f(to_float(a[at]), to_float(b[at])));
    }
}

/* The fast division: the exact one is a call, which costs registers. */
INLINE float sigmoid_of(float x) { return __fdividef(1, 1 + expf(-x)); }

/* z s(z)'s derivative. */
INLINE float silu_slope(float z) {
    float s = sigmoid_of(z);
    return s * (1 + z * (1 - s));
}

/* Sum over the block of one value a thread, the same bits every time; every thread gets it. */
template <class T> INLINE T block_sum(T v) {
    __shared__ T parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = v;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    __syncthreads();
    return parts[0];
}
#endif
