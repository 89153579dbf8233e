/* Softmax of many rows of logits. */
#ifndef IST_SOFTMAX_H
#define IST_SOFTMAX_H

#include "exp.h"

/* Positions are taken 16 at a time with the classes outermost, so that every loop over them is one vector wide. */
#define LANES 16

/* 16 positions: their labels (negative beyond the last one), and their classes' probabilities in the tile [c][LANES]. */
typedef struct block {
    int32_t label[LANES];
    float max[LANES], sum[LANES];
} block;

INLINE void softmax_block(const float *x, const int32_t *labels, int64_t count, int64_t c, float *restrict tile,
                          block *restrict b) {
    for (int64_t l = 0; l < LANES; l++) {
        const float *row = x + (l < count ? l : 0) * c;
        b->label[l] = l < count ? labels[l] : -1;
        for (int64_t k = 0; k < c; k++) tile[k * LANES + l] = row[k];
    }
    SIMD for (int64_t l = 0; l < LANES; l++) b->max[l] = tile[l], b->sum[l] = 0;
    for (int64_t k = 1; k < c; k++)
        SIMD for (int64_t l = 0; l < LANES; l++) {
            float v = tile[k * LANES + l];
            b->max[l] = v > b->max[l] || v != v ? v : b->max[l];
        }
    for (int64_t k = 0; k < c; k++)
        SIMD for (int64_t l = 0; l < LANES; l++)
            b->sum[l] += tile[k * LANES + l] = exponential(tile[k * LANES + l] - b->max[l]);
    float inverse[LANES];
    SIMD for (int64_t l = 0; l < LANES; l++) inverse[l] = 1 / b->sum[l];
    for (int64_t k = 0; k < c; k++)
        SIMD for (int64_t l = 0; l < LANES; l++) tile[k * LANES + l] *= inverse[l];
}

#endif
