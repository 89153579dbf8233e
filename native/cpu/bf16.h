/* What kernels by AVX-512's bf16 products share: the question whether the processor has them, and vectors of 16 channels. */
#ifndef IST_BF16_H
#define IST_BF16_H

#include "kernel.h"

/* What is so large is written past the caches. */
#define STREAM_BYTES (16 << 20)

/* AVX-512 does not imply bf16 products: a kernel asks before it does anything. */
static inline int bf16_check(const char *call) {
#if defined(__AVX512BF16__)
    if (__builtin_cpu_supports("avx512bf16")) return IST_OK;
#endif
    return ist_fail(IST_INVALID_ARGUMENT, "%s: needs a processor with AVX-512 BF16", call);
}

#if defined(__AVX512BF16__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 32")

/* 16 channels. */
typedef float lanes __attribute__((vector_size(64)));

INLINE lanes widen(const uint16_t *x) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x));
    return (lanes)_mm512_slli_epi32(wide, 16);
}

INLINE void narrow(uint16_t *y, lanes v) {
    _mm256_storeu_si256((__m256i *)y, (__m256i)_mm512_cvtneps_pbh((__m512)v));
}

/* The same 16 of a row of floats. */
INLINE lanes lanes_at(const float *v) { return (lanes)_mm512_loadu_ps(v); }
#endif

#endif
