/*
 * Batch normalisation while a convolution reads its input, and its backward pass while a data gradient is written, so that
 * what lies between is never in memory. A normalised value has the bits that ist_batch_norm would have stored.
 */
#ifndef IST_NORM_INPUT_H
#define IST_NORM_INPUT_H

#include "bf16.h"

/* z = (x - mean) factor + beta, numbers a channel; y = max(z, 0) if relu. */
typedef struct norm_input {
    const float *mean, *factor, *beta;
    int relu;
} norm_input;

static inline int norm_check(const char *call, const ist_norm *n) {
    if (n && n->activation != IST_NONE && n->activation != IST_RELU)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: the norm's activation is %lld; this is for none and ReLU", call,
                        (long long)n->activation);
    return IST_OK;
}

static inline int owed_check(const char *call, const ist_owed *o, int64_t c) {
    if (o && o->ldx < c)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: what is owed reads rows of %lld channels, which are %lld apart", call,
                        (long long)c, (long long)o->ldx);
    return IST_OK;
}

/* room: [c], for the factors. */
static inline norm_input norm_input_of(const ist_norm *n, int64_t c, float *room) {
    SIMD for (int64_t j = 0; j < c; j++) room[j] = (float)(n->gamma[j] / sqrt((double)n->variance[j] + n->epsilon));
    return (norm_input){n->mean, room, n->beta, n->activation == IST_RELU};
}

/*
 * What the backward pass owes, from the sums over all rows of dz and of dz (x - mean); see ist_norm_gradient. A `factor` as
 * norm_input_of gives it is not precise enough here.
 */
static inline void norm_gradient_owe(const ist_norm_gradient *g, const double *sum, const double *product, int64_t rows,
                                     int64_t c) {
    const ist_norm *n = &g->norm;
    SIMD for (int64_t j = 0; j < c; j++) {
        double inverse = 1 / sqrt((double)n->variance[j] + n->epsilon), a = n->gamma[j] * inverse;
        double dgamma = product[j] * inverse, slope = -a * inverse * dgamma / (double)rows;
        double shift = -a * sum[j] / (double)rows - slope * n->mean[j];
        g->dgamma[j] = (float)dgamma;
        g->dbeta[j] = (float)sum[j];
        g->slope[j] = (float)(slope + (g->slope_before ? g->slope_before[j] : 0));
        g->shift[j] = (float)(shift + (g->shift_before ? g->shift_before[j] : 0));
    }
}

#if defined(__AVX512BF16__)
/* The numbers of 16 channels. */
typedef struct norm_lanes {
    lanes mean, factor, beta;
} norm_lanes;

INLINE norm_lanes norm_lanes_at(const norm_input *n, int64_t j) {
    return (norm_lanes){lanes_at(n->mean + j), lanes_at(n->factor + j), lanes_at(n->beta + j)};
}

/* y of 16 channels of x; relu is a constant where this is called. */
INLINE lanes norm_of(lanes x, norm_lanes n, int relu) {
    __m512 z = _mm512_fmadd_ps((__m512)(x - n.mean), (__m512)n.factor, (__m512)n.beta);
    /* The second of the operands is what comes out if there is a NaN. */
    return (lanes)(relu ? _mm512_max_ps(_mm512_setzero_ps(), z) : z);
}

/* add + a dz of 16 channels, for dy that flows into y; adds dz and dz (x - mean) to the sums. */
INLINE lanes norm_gradient_of(lanes dy, lanes x, lanes add, norm_lanes n, int relu, lanes *sum, lanes *product) {
    lanes centred = x - n.mean;
    __m512 dz = (__m512)dy, z = _mm512_fmadd_ps((__m512)centred, (__m512)n.factor, (__m512)n.beta);
    if (relu) dz = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_GT_OQ), dz);
    *sum += (lanes)dz;
    *product = (lanes)_mm512_fmadd_ps(dz, (__m512)centred, (__m512)*product);
    return (lanes)_mm512_fmadd_ps((__m512)n.factor, dz, (__m512)add);
}
#endif

#endif
