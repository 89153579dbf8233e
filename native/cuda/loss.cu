/* Losses on float32 logits, value and gradient in one pass of one block; scale (the loss scale, or null for 1) multiplies
 * the gradient, not the value. */
#include "kernel.cuh"

INLINE float scale_of(const float *scale) { return scale ? *scale : 1; }

/* Mean of -log softmax at the label; rows with a negative label contribute nothing, and none left gives 0. */
KERNEL cross_entropy(const float *logits, const int *labels, const float *scale, float *loss, float *gradient, i64 n,
                     i64 c) {
    double known = 0;
    for (i64 r = threadIdx.x; r < n; r += THREADS) known += labels[r] >= 0;
    known = block_sum(known);
    double mine = 0;
    for (i64 r = threadIdx.x; r < n; r += THREADS) {
        const float *row = logits + r * c;
        float top = row[0];
        for (i64 j = 1; j < c; j++) top = row[j] > top ? row[j] : top;
        double sum = 0;
        for (i64 j = 0; j < c; j++) sum += exp((double)row[j] - top);
        int label = labels[r];
        /* A label that is no class makes the loss a NaN, which training reports; nothing else is read. */
        if (label >= 0) mine += label < c ? log(sum) + top - row[label] : (double)__uint_as_float(0x7fc00000u);
        for (i64 j = 0; gradient && j < c; j++) {
            double g = label < 0 ? 0 : (exp((double)row[j] - top) / sum - (j == label)) / known;
            gradient[r * c + j] = (float)(g * scale_of(scale));
        }
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = known > 0 ? (float)(mine / known) : 0;
}
HOST_KERNEL_SYNC(cross_entropy)

INLINE double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(x > 0 ? -x : x)); }

/* Mean over known labels (>= 0) of w y softplus(-x) + (1 - y) softplus(x); weights: w of each column, or null for 1. */
KERNEL bce_with_logits(const float *logits, const float *labels, const float *weights, const float *scale, float *loss,
                       float *gradient, i64 n, i64 c) {
    double known = 0, mine = 0;
    for (i64 i = threadIdx.x; i < n * c; i += THREADS) known += labels[i] >= 0;
    known = block_sum(known);
    for (i64 i = threadIdx.x; i < n * c; i += THREADS) {
        double x = logits[i], y = labels[i], w = weights ? weights[i % c] : 1, p = 1 / (1 + exp(-x));
        bool counts = labels[i] >= 0;
        if (counts) mine += w * y * softplus(-x) + (1 - y) * softplus(x);
        if (gradient)
            gradient[i] = counts ? (float)(((1 - y) * p - w * y * (1 - p)) / known * scale_of(scale)) : 0;
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = known > 0 ? (float)(mine / known) : 0;
}
HOST_KERNEL_SYNC(bce_with_logits)
