/* Softmax Dice plus cross-entropy at every position of a map: sums of each sample and class first, then the gradient.
 * Blocks: x splits a sample's positions, y a sample. Sums are added in a fixed order. */
#include "kernel.cuh"

/* Largest logit and the sum of exponentials of one position. */
INLINE void softmax_terms(const float *row, i64 c, float *top, double *sum) {
    *top = row[0];
    for (i64 j = 1; j < c; j++) *top = row[j] > *top ? row[j] : *top;
    *sum = 0;
    for (i64 j = 0; j < c; j++) *sum += exp((double)row[j] - *top);
}

/* partial[sample][split][3 c + 2]: for each class the sums of p t, p and t; then the sum of -log p and the known positions. */
KERNEL dice_sums(const float *logits, const int *labels, double *partial, i64 s, i64 c) {
    const float *x = logits + blockIdx.y * s * c;
    const int *t = labels + blockIdx.y * s;
    double *out = partial + (blockIdx.y * (i64)gridDim.x + blockIdx.x) * (3 * c + 2);
    for (i64 j = 0; j <= c; j++) {
        double first = 0, second = 0, third = 0;
        EACH(i, s) {
            int label = t[i];
            if (label < 0) continue;
            float top;
            double sum;
            softmax_terms(x + i * c, c, &top, &sum);
            if (j == c) {
                first += label < c ? log(sum) + top - x[i * c + label] : (double)__uint_as_float(0x7fc00000u);
                second += 1;
                continue;
            }
            double p = exp((double)x[i * c + j] - top) / sum;
            first += label == j ? p : 0;
            second += p;
            third += label == j;
        }
        first = block_sum(first);
        second = block_sum(second);
        if (j < c) third = block_sum(third);
        if (threadIdx.x != 0) continue;
        out[j < c ? j : 3 * c] = first;
        out[j < c ? c + j : 3 * c + 1] = second;
        if (j < c) out[2 * c + j] = third;
    }
}
HOST_KERNEL_SYNC(dice_sums)

/* One thread: the loss, and slope[sample][class][2] of the Dice part: over / all^2, 2 / all; known positions at the end. */
KERNEL dice_finish(const double *partial, i64 splits, float smooth, int background, float *loss, double *slope, i64 n,
                   i64 c) {
    if (first_thread() != 0) return;
    double surprise = 0, known = 0, dice = 0;
    i64 counted = n * (c - (background ? 0 : 1));
    for (i64 k = 0; k < n * splits; k++) {
        surprise += partial[k * (3 * c + 2) + 3 * c];
        known += partial[k * (3 * c + 2) + 3 * c + 1];
    }
    for (i64 i = 0; i < n * c; i++) {
        double both = 0, all = smooth;
        for (i64 k = i / c * splits; k < (i / c + 1) * splits; k++) {
            const double *p = partial + k * (3 * c + 2);
            both += p[i % c];
            all += p[c + i % c] + p[2 * c + i % c];
        }
        bool counts = background || i % c > 0;
        double over = 2 * both + smooth;
        if (counts) dice += (1 - over / all) / counted;
        slope[2 * i] = counts ? over / (all * all) / counted : 0;
        slope[2 * i + 1] = counts ? 2 / all / counted : 0;
    }
    slope[2 * n * c] = known;
    *loss = (float)(dice + (known > 0 ? surprise / known : 0));
}
HOST_KERNEL(dice_finish)

KERNEL dice_gradient(const float *logits, const int *labels, const double *slope, float *gradient, i64 n, i64 s,
                     i64 c) {
    double known = slope[2 * n * c];
    EACH(i, n * s) {
        const float *row = logits + i * c;
        const double *k = slope + i / s * 2 * c;
        int label = labels[i];
        float top;
        double sum, mean = 0;
        softmax_terms(row, c, &top, &sum);
        for (i64 j = 0; j < c; j++)
            mean += exp((double)row[j] - top) / sum * (k[2 * j] - (j == label ? k[2 * j + 1] : 0));
        for (i64 j = 0; j < c; j++) {
            double p = exp((double)row[j] - top) / sum, d = k[2 * j] - (j == label ? k[2 * j + 1] : 0);
            gradient[i * c + j] = label < 0 ? 0 : (float)(p * (d - mean) + (p - (j == label)) / known);
        }
    }
}
HOST_KERNEL(dice_gradient)
