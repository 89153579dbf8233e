/* Softmax Dice plus cross-entropy over positions (Milletari et al. 2016), with its gradient, in two passes over the logits. */
#include "softmax.h"

/* Where sums are cut depends on the shape alone: any number of threads gives the same bits. */
typedef struct grid {
    int64_t n, s, c, chunk, chunks; /* samples, positions and classes; positions a chunk; chunks a sample */
} grid;

/* A chunk's sums: of each class the probability, the probability where it is the label, and how often it is the label;
 * then of the positions with a known label -log p and their number. */
#define SUMS(c) (3 * (c) + 2)

/* lanes: sums of the probabilities a class and lane, zero before and after. */
static void sum_chunk(const grid *g, const float *x, const int32_t *labels, int64_t from, int64_t to, float *tile,
                      double *restrict lanes, double *sums) {
    int64_t c = g->c;
    double *probability = sums, *hit = sums + c, *count = sums + 2 * c, *loss = sums + 3 * c, *known = loss + 1;
    block b;
    for (int64_t r = from; r < to; r += LANES) {
        softmax_block(x + r * c, labels + r, min64(LANES, to - r), c, tile, &b);
        for (int64_t k = 0; k < c; k++)
            SIMD for (int64_t l = 0; l < LANES; l++)
                lanes[k * LANES + l] += b.label[l] >= 0 ? (double)tile[k * LANES + l] : 0;
        double product = 1; /* of at most 16 sums, each from 1 to c: one logarithm serves all */
        for (int64_t l = 0; l < LANES; l++) {
            int32_t label = b.label[l];
            if (label < 0) continue;
            hit[label] += tile[label * LANES + l];
            count[label]++;
            product *= b.sum[l];
            *loss += (double)b.max[l] - x[(r + l) * c + label];
            *known += 1;
        }
        *loss += log(product);
    }
    for (int64_t k = 0; k < c; k++)
        for (int64_t l = 0; l < LANES; l++) {
            probability[k] += lanes[k * LANES + l];
            lanes[k * LANES + l] = 0;
        }
}

/* By p, the loss of a sample has the gradient a - (label ? b : 0) a class, plus cross-entropy's. */
static void gradient_chunk(const grid *g, const float *x, const int32_t *labels, int64_t from, int64_t to, float *tile,
                           const float *a, const float *b, float each, float *gradient) {
    int64_t c = g->c;
    block at;
    for (int64_t r = from; r < to; r += LANES) {
        int64_t count = min64(LANES, to - r);
        softmax_block(x + r * c, labels + r, count, c, tile, &at);
        float mean[LANES] = {0}; /* of the gradient by p, weighted with p */
        for (int64_t k = 0; k < c; k++) SIMD for (int64_t l = 0; l < LANES; l++) mean[l] += a[k] * tile[k * LANES + l];
        for (int64_t l = 0; l < count; l++)
            if (at.label[l] >= 0) mean[l] -= b[at.label[l]] * tile[at.label[l] * LANES + l];
        for (int64_t l = 0; l < count; l++) {
            float *row = gradient + (r + l) * c;
            int32_t label = at.label[l];
            for (int64_t k = 0; k < c; k++)
                row[k] = label < 0 ? 0 : tile[k * LANES + l] * (a[k] - mean[l] + each);
            if (label >= 0) row[label] -= tile[label * LANES + l] * b[label] + each;
        }
    }
}

/* Adds a sample's chunks in their order; gives its share of the Dice loss, and the two factors of the gradient a class. */
static double finish_sample(const grid *g, double *sums, double smooth, int64_t first_class, float *a, float *b) {
    int64_t c = g->c;
    for (int64_t i = 1; i < g->chunks; i++)
        for (int64_t j = 0; j < SUMS(c); j++) sums[j] += sums[i * SUMS(c) + j];
    double loss = 0, each = 1 / ((double)g->n * (double)(c - first_class));
    for (int64_t k = 0; k < c; k++) {
        double over = 2 * sums[c + k] + smooth, all = sums[k] + sums[2 * c + k] + smooth;
        int counts = k >= first_class;
        if (counts) loss += each * (1 - over / all);
        a[k] = counts ? (float)(each * over / (all * all)) : 0;
        b[k] = counts ? (float)(each * 2 / all) : 0;
    }
    return loss;
}

static int check_labels(const char *call, const int32_t *labels, int64_t n, int64_t c) {
    int64_t bad = -1;
    for (int64_t i = 0; i < n; i++)
        if (labels[i] >= c) bad = i;
    REQUIRE(bad < 0, "%s: label %d of position %lld, but there are %lld classes", call, labels[bad], (long long)bad,
            (long long)c);
    return IST_OK;
}

#define EACH_CHUNK(g, ...) \
    PARALLEL((g)->n * (g)->s * (g)->c, (g)->n * (g)->chunks, 1, for (int64_t i = from; i < to; i++) { \
        int64_t sample = i / (g)->chunks, first = i % (g)->chunks * (g)->chunk; \
        int64_t last = min64(first + (g)->chunk, (g)->s), thread = omp_get_thread_num(); \
        const float *x = logits + sample * (g)->s * (g)->c; \
        const int32_t *y = labels + sample * (g)->s; \
        __VA_ARGS__; \
    })

int KERNEL(dice_ce)(const float *logits, const int32_t *labels, float smooth, int include_background, float *loss,
                    float *gradient, int64_t n, int64_t s, int64_t c) {
    REQUIRE(n > 0 && s > 0 && c > !include_background, "%s: logits [%lld,%lld,%lld]%s", __func__, (long long)n,
            (long long)s, (long long)c, include_background ? "" : " without the background");
    int status = check_labels(__func__, labels, n * s, c);
    if (status) return status;
    int64_t chunk = ((s + 63) / 64 + LANES - 1) / LANES * LANES;
    if (chunk < 1024) chunk = 1024;
    grid shape = {n, s, c, chunk, (s + chunk - 1) / chunk}, *g = &shape;
    int64_t threads = omp_get_max_threads();
    double *sums = calloc((size_t)(n * g->chunks * SUMS(c) + threads * c * LANES), sizeof(double));
    float *tiles = malloc((size_t)(threads * c * LANES + 2 * n * c) * sizeof(float));
    if (sums && tiles) {
        double *lanes = sums + n * g->chunks * SUMS(c), total = 0, negative_log = 0, known = 0;
        float *a = tiles + threads * c * LANES, *b = a + n * c;
        EACH_CHUNK(g, sum_chunk(g, x, y, first, last, tiles + thread * c * LANES, lanes + thread * c * LANES,
                                sums + i * SUMS(c)));
        for (int64_t j = 0; j < n; j++) {
            double *of = sums + j * g->chunks * SUMS(c);
            total += finish_sample(g, of, smooth, !include_background, a + j * c, b + j * c);
            negative_log += of[3 * c];
            known += of[3 * c + 1];
        }
        *loss = (float)(total + (known > 0 ? negative_log / known : 0));
        float each = known > 0 ? (float)(1 / known) : 0;
        if (gradient)
            EACH_CHUNK(g, gradient_chunk(g, x, y, first, last, tiles + thread * c * LANES, a + sample * c,
                                         b + sample * c, each, gradient + sample * g->s * c));
    } else status = ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld classes", __func__, (long long)c);
    free(sums);
    free(tiles);
    return status;
}
