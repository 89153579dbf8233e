/* What every kernel file shares: the name for its instruction set, element access by type, threads, errors. */
#ifndef IST_KERNEL_H
#define IST_KERNEL_H

#include "isthmus.h"
#include <math.h>
#ifdef IST_ONE_THREAD
static inline int omp_get_thread_num(void) { return 0; }
static inline int omp_get_num_threads(void) { return 1; }
static inline int omp_get_max_threads(void) { return 1; }
#else
#include <omp.h>
#endif
#include <stdlib.h>
#include <string.h>

#define IST_JOIN2(a, b) a##_##b
#define IST_JOIN(a, b) IST_JOIN2(a, b)

/* The name of a kernel in this build: ist_relu_avx512. */
#define KERNEL(name) IST_JOIN(ist_##name, IST_ISA)

/* Declares each with the public signature, so that a definition that differs does not compile. */
#define IST_KERNEL(name) extern __typeof__(ist_##name) KERNEL(name);
#include "kernels.def"
#undef IST_KERNEL

#define INLINE static inline __attribute__((always_inline))

/* Notes a text for ist_last_error and gives the status back. */
__attribute__((format(printf, 2, 3))) int ist_fail(int status, const char *format, ...);

#define REQUIRE(condition, ...) \
    do { \
        if (!(condition)) return ist_fail(IST_INVALID_ARGUMENT, __VA_ARGS__); \
    } while (0)
#define REQUIRE_DTYPE(dtype) \
    REQUIRE((dtype) == IST_F32 || (dtype) == IST_BF16, "%s: no element type %d", __func__, dtype)
#define REQUIRE_SIZE(n) REQUIRE((n) >= 0, "%s: the size %lld is negative", __func__, (long long)(n))

/* ---- Element access: dt is a constant at every call, so each loop is compiled for one type. ---- */

INLINE float bf16_to_f32(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

INLINE uint16_t f32_to_bf16(float f) {
    uint32_t x;
    memcpy(&x, &f, 4);
    uint32_t rounded = (x + 0x7fffu + ((x >> 16) & 1)) >> 16;
    uint32_t quiet = (x >> 16) | 0x40u;
    return (uint16_t)((x & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

INLINE float load(int dt, const void *p, int64_t i) {
    return dt == IST_BF16 ? bf16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

INLINE void store(int dt, void *p, int64_t i, float v) {
    if (dt == IST_BF16) ((uint16_t *)p)[i] = f32_to_bf16(v);
    else ((float *)p)[i] = v;
}

INLINE const void *offset(int dt, const void *p, int64_t i) { return (const char *)p + i * (dt == IST_BF16 ? 2 : 4); }

/* Calls f with the type as a constant first argument. */
#define TYPED(dtype, f, ...) \
    do { \
        if ((dtype) == IST_BF16) f(IST_BF16, __VA_ARGS__); \
        else f(IST_F32, __VA_ARGS__); \
    } while (0)

/* ---- Threads: each takes one contiguous share, so the same number of threads gives the same bits. ---- */

/* Below this many elements of work one thread is faster than waking others. */
#define IST_SERIAL_BELOW 16384

INLINE void share(int64_t count, int64_t grain, int64_t *from, int64_t *to) {
    int64_t t = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t grains = (count + grain - 1) / grain;
    *from = grains * t / threads * grain;
    *to = grains * (t + 1) / threads * grain;
    if (*to > count) *to = count;
}

#define PRAGMA(x) _Pragma(#x)

/* Runs the statements on all threads, each with its own [from, to) of count, cut at multiples of grain. */
#define PARALLEL(work, count, grain, ...) \
    do { \
        PRAGMA(omp parallel if ((work) >= IST_SERIAL_BELOW)) { \
            int64_t from, to; \
            share(count, grain, &from, &to); \
            if (from < to) { __VA_ARGS__; } \
        } \
    } while (0)

/* Shares of single elements are cut at cache lines. */
#define GRAIN 64

/*
 * Threads' rooms in scratch memory: before each lies so much that nobody touches. Processors fetch what a stride promises, far
 * behind the end of what is used, and take it from the caches of the thread that writes there. Between cores of one L3 cache
 * that costs little; between two, a third of the convolutions that have rooms (Zen 5, where 128 KiB were not enough).
 */
#define APART (256 << 10)

/* Bytes of scratch memory for a room of which so many are used; and the calling thread's room. */
INLINE int64_t room_bytes(int64_t used) { return APART + (used + 63) / 64 * 64; }
INLINE char *room_in(void *rooms, int64_t bytes) { return (char *)rooms + omp_get_thread_num() * bytes + APART; }

#define SIMD PRAGMA(omp simd)

INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

#endif
