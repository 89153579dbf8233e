/*
 * Mean and variance of each channel of a result in bf16, taken while what has just been written is still in the first cache.
 * Each thread adds up in float32 for a while, then in float64; its sums are added in the order of threads.
 */
#ifndef IST_MEASURE_H
#define IST_MEASURE_H

#include "bf16.h"

/* Channels whose sums stand together: those of even ones, of odd ones, and of the squares of both. */
enum { MEASURED = 32 };

/* One thread's sums of k channels: float32 [k / MEASURED, 4, 16], and float64 [2, k] in the channels' order. */
typedef struct measure {
    float *part;
    double *sums;
    int64_t k;
} measure;

static inline int64_t measure_bytes(int64_t k) { return 2 * k * 8 + 2 * k * 4; }

/* In room of measure_bytes, at an address for float64; all zero. */
static inline measure measure_in(void *room, int64_t k) {
    memset(room, 0, (size_t)measure_bytes(k));
    return (measure){(float *)((double *)room + 2 * k), room, k};
}

#if defined(__AVX512BF16__)
/* The even and the odd ones of MEASURED channels. */
INLINE void measure_split(const uint16_t *y, lanes *even, lanes *odd) {
    __m512i pairs = _mm512_loadu_si512(y);
    *even = (lanes)_mm512_slli_epi32(pairs, 16);
    *odd = (lanes)_mm512_and_si512(pairs, _mm512_set1_epi32(~0xffff));
}

/* Adds MEASURED channels, from channel c on, of some rows: two at a time, as each sum waits for the one before. */
INLINE void measure_rows(const measure *m, int64_t c, const uint16_t *y, int64_t ldy, int64_t rows) {
    float *part = m->part + 2 * c;
    lanes even = lanes_at(part), odd = lanes_at(part + 16), evens = lanes_at(part + 32), odds = lanes_at(part + 48);
    lanes a, b, d = {0}, e = {0};
    int64_t r = 0;
    for (; r + 2 <= rows; r += 2) {
        measure_split(y + r * ldy, &a, &b);
        measure_split(y + (r + 1) * ldy, &d, &e);
        even += a + d;
        odd += b + e;
        evens += a * a + d * d;
        odds += b * b + e * e;
    }
    if (r < rows) {
        measure_split(y + r * ldy, &a, &b);
        even += a;
        odd += b;
        evens += a * a;
        odds += b * b;
    }
    memcpy(part, &even, 64);
    memcpy(part + 16, &odd, 64);
    memcpy(part + 32, &evens, 64);
    memcpy(part + 48, &odds, 64);
}

/* The same for an even number of rows that are in registers still: reading them back waits for the stores. Squares of two
 * rows are added at once. */
INLINE void measure_words(const measure *m, int64_t c, const __m512i *y, int rows) {
    float *part = m->part + 2 * c;
    lanes even = lanes_at(part), odd = lanes_at(part + 16);
    __m512 evens = _mm512_loadu_ps(part + 32), odds = _mm512_loadu_ps(part + 48);
    __m512i high = _mm512_set1_epi32(~0xffff);
    UNROLL for (int r = 0; r < rows; r += 2) {
        __m512i a = _mm512_slli_epi32(y[r], 16), b = _mm512_and_si512(y[r], high);
        __m512i d = _mm512_slli_epi32(y[r + 1], 16), e = _mm512_and_si512(y[r + 1], high);
        even += (lanes)a + (lanes)d;
        odd += (lanes)b + (lanes)e;
        __m512bh two = (__m512bh)_mm512_or_si512(_mm512_srli_epi32(a, 16), d);
        evens = _mm512_dpbf16_ps(evens, two, two);
        two = (__m512bh)_mm512_or_si512(_mm512_srli_epi32(b, 16), e);
        odds = _mm512_dpbf16_ps(odds, two, two);
    }
    memcpy(part, &even, 64);
    memcpy(part + 16, &odd, 64);
    memcpy(part + 32, &evens, 64);
    memcpy(part + 48, &odds, 64);
}
#endif

/* Adds the float32 sums to the float64 ones: to be done every few dozen rows. */
static inline void measure_flush(const measure *m) {
    for (int64_t c = 0; c < m->k; c += MEASURED)
        for (int64_t i = 0; i < 16; i++) {
            float *part = m->part + 2 * c + i;
            double *sum = m->sums + c + 2 * i, *square = sum + m->k;
            sum[0] += part[0];
            sum[1] += part[16];
            square[0] += part[32];
            square[1] += part[48];
            part[0] = part[16] = part[32] = part[48] = 0;
        }
}

/* Of one channel, from the sums of its values and of their squares. */
static inline void measure_result(double sum, double square, int64_t rows, float *mean, float *variance) {
    double m = sum / (double)rows, v = square / (double)rows - m * m;
    *mean = (float)m;
    *variance = (float)(v < 0 ? 0 : v);
}

/* From what measure_in was given at the start of all threads' rooms of so many bytes. */
static inline void measure_finish(const void *rooms, int64_t bytes, int64_t threads, int64_t rows, int64_t k, float *mean,
                                  float *variance) {
    for (int64_t j = 0; j < k; j++) {
        double sum = 0, square = 0;
        for (int64_t t = 0; t < threads; t++) {
            const double *sums = (const double *)((const char *)rooms + t * bytes + APART);
            sum += sums[j];
            square += sums[k + j];
        }
        measure_result(sum, square, rows, mean + j, variance + j);
    }
}

#endif
