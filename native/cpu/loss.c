/* Losses with their gradients, and softmax. */
#include "softmax.h"

/* Rows [from, to): the sum of their losses; mine: a tile [c, LANES]. */
static double cross_entropy_range(const float *logits, const int32_t *labels, float each, float *gradient, int64_t c,
                                  float *mine, int64_t from, int64_t to) {
    double sum = 0;
    block b;
    for (int64_t r = from; r < to; r += LANES) {
        int64_t count = min64(LANES, to - r);
        softmax_block(logits + r * c, labels + r, count, c, mine, &b);
        double product = 1; /* of at most 16 sums, each from 1 to c: one logarithm serves all */
        for (int64_t l = 0; l < count; l++) {
            if (b.label[l] < 0) continue;
            product *= b.sum[l];
            sum += (double)b.max[l] - logits[(r + l) * c + b.label[l]];
        }
        sum += log(product);
        for (int64_t l = 0; gradient && l < count; l++) {
            float *row = gradient + (r + l) * c, share = b.label[l] < 0 ? 0 : each;
            for (int64_t k = 0; k < c; k++) row[k] = b.label[l] < 0 ? 0 : mine[k * LANES + l] * share;
            if (b.label[l] >= 0) row[b.label[l]] -= share;
        }
    }
    return sum;
}

int KERNEL(cross_entropy)(const float *logits, const int32_t *labels, float *loss, float *gradient, int64_t n,
                          int64_t c) {
    REQUIRE(n >= 0 && c > 0, "%s: logits [%lld,%lld]", __func__, (long long)n, (long long)c);
    int64_t known = 0;
    for (int64_t i = 0; i < n; i++) {
        REQUIRE(labels[i] < c, "%s: label %d of row %lld, but there are %lld classes", __func__, labels[i],
                (long long)i, (long long)c);
        known += labels[i] >= 0;
    }
    int threads = omp_get_max_threads();
    double *sums = calloc((size_t)threads, sizeof(double));
    float *tiles = malloc((size_t)(threads * c * LANES) * sizeof(float));
    if (!sums || !tiles) {
        free(sums);
        free(tiles);
        return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld classes", __func__, (long long)c);
    }
    float each = known ? 1 / (float)known : 0;
    PARALLEL(n * c * 8, n, LANES, {
        int t = omp_get_thread_num();
        sums[t] = cross_entropy_range(logits, labels, each, gradient, c, tiles + t * c * LANES, from, to);
    });
    double sum = 0;
    for (int t = 0; t < threads; t++) sum += sums[t];
    *loss = known ? (float)(sum / (double)known) : 0;
    free(sums);
    free(tiles);
    return IST_OK;
}

/* Labels are few beside images, so one thread does: the bits depend on nothing. */
int KERNEL(bce_with_logits)(const float *logits, const float *labels, const float *positive_weights, float *loss,
                            float *gradient, int64_t n, int64_t c) {
    REQUIRE(n >= 0 && c > 0, "%s: logits [%lld,%lld]", __func__, (long long)n, (long long)c);
    int64_t known = 0;
    for (int64_t i = 0; i < n * c; i++) known += labels[i] >= 0;
    double sum = 0;
    for (int64_t i = 0; i < n * c; i++) {
        double x = logits[i], y = labels[i], w = positive_weights ? positive_weights[i % c] : 1;
        if (!(y >= 0)) {
            if (gradient) gradient[i] = 0;
            continue;
        }
        double tail = log1p(exp(-fabs(x))), p = 1 / (1 + exp(-x));
        /* softplus(-x) and softplus(x), without overflow; a NaN stays one. */
        sum += w * y * ((x < 0 ? -x : 0) + tail) + (1 - y) * ((x > 0 ? x : 0) + tail);
        if (gradient) gradient[i] = (float)(((1 - y) * p - w * y * (1 - p)) / (double)known);
    }
    *loss = known ? (float)(sum / (double)known) : 0;
    return IST_OK;
}

int KERNEL(focal)(const float *logits, const float *labels, const float *positive_weights, double gamma, double alpha,
                  float *loss, float *gradient, int64_t n, int64_t c) {
    REQUIRE(n >= 0 && c > 0, "%s: logits [%lld,%lld]", __func__, (long long)n, (long long)c);
    REQUIRE(gamma >= 0, "%s: gamma is %g, not 0 or more", __func__, gamma);
    int64_t known = 0;
    for (int64_t i = 0; i < n * c; i++) known += labels[i] >= 0;
    double sum = 0;
    for (int64_t i = 0; i < n * c; i++) {
        if (!(labels[i] >= 0)) {
            if (gradient) gradient[i] = 0;
            continue;
        }
        double sign = labels[i] > 0 ? 1 : -1, x = sign * logits[i];
        double p = 1 / (1 + exp(-x)), miss = 1 / (1 + exp(x)), surprise = (x < 0 ? -x : 0) + log1p(exp(-fabs(x)));
        double w = alpha * (sign > 0 && positive_weights ? positive_weights[i % c] : 1) * pow(miss, gamma);
        sum += w * surprise;
        if (gradient) gradient[i] = (float)(-sign * w * (gamma * p * surprise + miss) / (double)known);
    }
    *loss = known ? (float)(sum / (double)known) : 0;
    return IST_OK;
}

/* The elements are cut where only their number says, so any number of threads gives the same bits. */
#define CHUNKS 64

int KERNEL(smooth_l1)(const float *x, const float *target, float beta, float *loss, float *gradient, int64_t n) {
    REQUIRE(n > 0 && beta >= 0, "%s: %lld elements, beta %g", __func__, (long long)n, (double)beta);
    double sums[CHUNKS] = {0}, sum = 0;
    float each = 1 / (float)n;
    PARALLEL(n, CHUNKS, 1, for (int64_t k = from; k < to; k++) {
        double part = 0;
        for (int64_t i = n * k / CHUNKS; i < n * (k + 1) / CHUNKS; i++) {
            float d = x[i] - target[i], size = fabsf(d);
            part += size < beta ? 0.5 * d * d / beta : size - 0.5 * beta;
            if (gradient) gradient[i] = each * (size < beta ? d / beta : (float)((d > 0) - (d < 0)));
        }
        sums[k] = part;
    });
    for (int k = 0; k < CHUNKS; k++) sum += sums[k];
    *loss = (float)(sum / (double)n);
    return IST_OK;
}

static void softmax_range(const float *x, float *y, int64_t c, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < c; j++) max = x[i * c + j] > max ? x[i * c + j] : max;
        for (int64_t j = 0; j < c; j++) sum += exp(x[i * c + j] - max);
        for (int64_t j = 0; j < c; j++) y[i * c + j] = (float)(exp(x[i * c + j] - max) / sum);
    }
}

int KERNEL(softmax)(const float *x, float *y, int64_t n, int64_t c) {
    REQUIRE(n >= 0 && c > 0, "%s: [%lld,%lld]", __func__, (long long)n, (long long)c);
    PARALLEL(n * c * 8, n, 16, softmax_range(x, y, c, from, to));
    return IST_OK;
}
