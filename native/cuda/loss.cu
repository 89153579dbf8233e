/* Losses on float32 logits, value and gradient in one pass of one block; and the factor on the gradient that half precision
 * needs. */
#include "kernel.cuh"

/* A NaN: a label that is no class makes the loss one, which training reports; nothing is read out of bounds. */
#define BAD_LABEL (double)__uint_as_float(0x7fc00000u)

/* y = S x, S being the float32 at byte 16 of the step's scalars. */
KERNEL loss_scale(const i64 *scalars, const float *x, float *y, i64 n) {
    float s = *(const float *)(scalars + 2);
    EACH(i, n) y[i] = s * x[i];
}
HOST_KERNEL(loss_scale)

/* Mean of -log softmax at the label; rows with a negative label contribute nothing, and none left gives 0. */
KERNEL cross_entropy(const float *logits, const int *labels, float *loss, float *gradient, i64 n, i64 c) {
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
        if (label >= 0) mine += label < c ? log(sum) + top - row[label] : BAD_LABEL;
        for (i64 j = 0; gradient && j < c; j++) {
            double g = label < 0 ? 0 : (exp((double)row[j] - top) / sum - (j == label)) / known;
            gradient[r * c + j] = (float)(g);
        }
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = known > 0 ? (float)(mine / known) : 0;
}
HOST_KERNEL_SYNC(cross_entropy)

INLINE double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(x > 0 ? -x : x)); }

/* Mean over known labels (>= 0) of w y softplus(-x) + (1 - y) softplus(x); weights: w of each column, or null for 1. */
KERNEL bce_with_logits(const float *logits, const float *labels, const float *weights, float *loss, float *gradient, i64 n,
                       i64 c) {
    double known = 0, mine = 0;
    for (i64 i = threadIdx.x; i < n * c; i += THREADS) known += labels[i] >= 0;
    known = block_sum(known);
    for (i64 i = threadIdx.x; i < n * c; i += THREADS) {
        double x = logits[i], y = labels[i], w = weights ? weights[i % c] : 1, p = 1 / (1 + exp(-x));
        bool counts = labels[i] >= 0;
        if (counts) mine += w * y * softplus(-x) + (1 - y) * softplus(x);
        if (gradient)
            gradient[i] = counts ? (float)(((1 - y) * p - w * y * (1 - p)) / known) : 0;
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = known > 0 ? (float)(mine / known) : 0;
}
HOST_KERNEL_SYNC(bce_with_logits)

/* Focal loss (Lin et al. 2017), mean over known labels (>= 0): alpha w (1 - p)^gamma (-log p). */
KERNEL focal(const float *logits, const float *labels, const float *weights, double gamma, double alpha, float *loss,
             float *gradient, i64 n, i64 c) {
    double known = 0, mine = 0;
    for (i64 i = threadIdx.x; i < n * c; i += THREADS) known += labels[i] >= 0;
    known = block_sum(known);
    for (i64 i = threadIdx.x; i < n * c; i += THREADS) {
        bool positive = labels[i] > 0;
        double sign = positive ? 1 : -1, x = sign * logits[i];
        double p = 1 / (1 + exp(-x)), miss = 1 / (1 + exp(x)), surprise = softplus(-x);
        double factor = alpha * (positive && weights ? weights[i % c] : 1) * powf((float)miss, (float)gamma);
        bool counts = labels[i] >= 0;
        if (counts) mine += factor * surprise;
        if (gradient)
            gradient[i] = counts ? (float)(-sign * factor * (gamma * p * surprise + miss) / known) : 0;
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = known > 0 ? (float)(mine / known) : 0;
}
HOST_KERNEL_SYNC(focal)

/* Mean of |d| < beta ? d^2 / (2 beta) : |d| - beta / 2. */
KERNEL smooth_l1(const float *x, const float *target, float beta, float *loss, float *gradient, i64 n) {
    double mine = 0;
    for (i64 i = threadIdx.x; i < n; i += THREADS) {
        double d = (double)x[i] - target[i], size = d < 0 ? -d : d;
        bool near = size < beta;
        mine += near ? d * d / (2 * beta) : size - beta / 2;
        if (gradient) gradient[i] = (float)((near ? d / beta : d > 0 ? 1.0 : d < 0 ? -1.0 : 0.0) / n);
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = (float)(mine / n);
}
HOST_KERNEL_SYNC(smooth_l1)
