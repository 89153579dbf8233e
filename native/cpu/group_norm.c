/* Group normalisation, with a residual and an activation fused in; forward and backward. */
#include "norm.h"

/* Each sample's rows are cut into chunks, so that one sample too keeps all threads busy. Where they are cut depends on
 * the shape alone: any number of threads gives the same bits. */
typedef struct grid {
    int64_t n, rows, c, groups, chunk, chunks; /* rows a chunk; chunks a sample */
} grid;

/* A chunk's sums are small beside its rows; a sample has at most 64. */
static grid grid_of(int64_t n, int64_t rows, int64_t c, int64_t groups) {
    int64_t chunk = (rows + 63) / 64;
    if (chunk < 64) chunk = 64;
    if (chunk < 32768 / c) chunk = 32768 / c;
    return (grid){n, rows, c, groups, chunk, (rows + chunk - 1) / chunk};
}

static int no_memory(const char *call, const grid *g) {
    return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld samples of %lld channels", call, (long long)g->n,
                    (long long)g->c);
}

/* Two sums a chunk and channel, and what is made of them: `tables` float32 numbers a sample and channel. */
static int scratch(const char *call, const grid *g, int tables, double **sums, float **table) {
    size_t channels = (size_t)(g->n * g->c);
    *sums = calloc(2 * (size_t)g->chunks * channels, sizeof(double));
    *table = malloc((size_t)tables * channels * sizeof(float));
    if (*sums && *table) return IST_OK;
    free(*sums);
    free(*table);
    return no_memory(call, g);
}

/* Runs the statements for chunks [from, to): rows [first, last) of sample s, whose channels' numbers start at `at`. */
#define EACH_CHUNK(g, ...) \
    for (int64_t i = from; i < to; i++) { \
        int64_t s = i / (g)->chunks, at = s * (g)->c; \
        int64_t first = s * (g)->rows + i % (g)->chunks * (g)->chunk; \
        int64_t last = min64(first + (g)->chunk, (s + 1) * (g)->rows); \
        __VA_ARGS__ \
    }

#define CHUNKS_PARALLEL(g, ...) PARALLEL((g)->n * (g)->rows * (g)->c, (g)->n * (g)->chunks, 1, __VA_ARGS__)

/* Adds a sample's chunks together, in their order, into its first one. */
static void gather(const grid *g, double *sums, int64_t s) {
    double *all = sums + s * g->chunks * 2 * g->c;
    for (int64_t k = 1; k < g->chunks; k++)
        SIMD for (int64_t j = 0; j < 2 * g->c; j++) all[j] += all[k * 2 * g->c + j];
}

INLINE void statistics_chunks(int dt, const grid *g, const void *x, int64_t ldx, double *sums, int64_t from,
                              int64_t to) {
    EACH_CHUNK(g, {
        (void)at;
        double *sum = sums + i * 2 * g->c;
        statistics_range(dt, x, ldx, g->c, sum, sum + g->c, first, last);
    })
}

/* A sample's statistics, and what they make of its channels: mean, factor. */
static void statistics_finish(const grid *g, const double *sums, const float *gamma, float epsilon, float *mean,
                              float *variance, float *means, float *factors) {
    int64_t width = g->c / g->groups;
    double count = (double)(g->rows * width);
    for (int64_t k = 0; k < g->groups; k++) {
        double sum = 0, square = 0;
        for (int64_t j = k * width; j < (k + 1) * width; j++) {
            sum += sums[j];
            square += sums[g->c + j];
        }
        double m = sum / count, v = square / count - m * m;
        mean[k] = (float)m;
        variance[k] = (float)(v < 0 ? 0 : v);
        double inverse = 1 / sqrt((double)variance[k] + epsilon);
        for (int64_t j = k * width; j < (k + 1) * width; j++) {
            means[j] = mean[k];
            factors[j] = (float)(gamma[j] * inverse);
        }
    }
}

/* The numbers of one sample's channels; beta is the same for all. */
INLINE normal of_sample(normal all, int64_t at) { return (normal){all.mean + at, all.factor + at, all.beta}; }

INLINE void forward_chunks(int dt, const grid *g, const void *x, int64_t ldx, normal k, const void *residual,
                           int activation, void *y, int64_t ldy, int64_t from, int64_t to) {
    EACH_CHUNK(g, forward_range(dt, x, ldx, of_sample(k, at), residual, activation, y, ldy, g->c, first, last);)
}

#define CHECK \
    REQUIRE_DTYPE(dtype); \
    REQUIRE(n > 0 && rows > 0 && c > 0, "%s: %lld samples of %lld rows of %lld channels", __func__, (long long)n, \
            (long long)rows, (long long)c); \
    REQUIRE(groups > 0 && c % groups == 0, "%s: %lld channels do not make %lld groups", __func__, (long long)c, \
            (long long)groups); \
    REQUIRE(activation >= IST_NONE && activation <= IST_SILU, "%s: no activation %d", __func__, activation); \
    REQUIRE(min64(ldx, ldy) >= c, "%s: rows are %lld apart but %lld long", __func__, (long long)min64(ldx, ldy), \
            (long long)c)

int KERNEL(group_norm)(int dtype, const void *x, int64_t ldx, const float *gamma, const float *beta, float epsilon,
                       const void *residual, int activation, void *y, int64_t ldy, float *mean, float *variance, int64_t n,
                       int64_t rows, int64_t c, int64_t groups) {
    CHECK;
    grid shape = grid_of(n, rows, c, groups), *g = &shape;
    double *sums;
    float *means;
    int status = scratch(__func__, g, 2, &sums, &means);
    if (status) return status;
    float *factors = means + n * c;
    normal k = {means, factors, beta};
    CHUNKS_PARALLEL(g, TYPED(dtype, statistics_chunks, g, x, ldx, sums, from, to));
    PARALLEL(n * g->chunks * c, n, 1, for (int64_t s = from; s < to; s++) {
        gather(g, sums, s);
        statistics_finish(g, sums + s * g->chunks * 2 * c, gamma, epsilon, mean + s * groups, variance + s * groups,
                          means + s * c, factors + s * c);
    });
    CHUNKS_PARALLEL(g, TYPED(dtype, forward_chunks, g, x, ldx, k, residual, activation, y, ldy, from, to));
    free(sums);
    free(means);
    return IST_OK;
}

INLINE void reduce_chunks(int dt, const grid *g, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                          int64_t ldy, int slope, double *sums, int64_t from, int64_t to) {
    EACH_CHUNK(g, {
        double *sum = sums + i * 2 * g->c;
        reduce_range(dt, x, ldx, of_sample(k, at), y, dy, ldy, slope, sum, sum + g->c, g->c, first, last);
    })
}

/* A sample's dx as an affine function (its factors a are known); its sums become its part of dbeta and dgamma. */
static void affine_finish(const grid *g, double *sums, const float *variance, const float *gamma, float epsilon,
                          affine f) {
    int64_t width = g->c / g->groups;
    double count = (double)(g->rows * width);
    for (int64_t k = 0; k < g->groups; k++) {
        double inverse = 1 / sqrt((double)variance[k] + epsilon), sum = 0, product = 0;
        for (int64_t j = k * width; j < (k + 1) * width; j++) {
            sums[g->c + j] *= inverse;
            sum += gamma[j] * sums[j];
            product += gamma[j] * sums[g->c + j];
        }
        for (int64_t j = k * width; j < (k + 1) * width; j++) {
            f.b[j] = (float)(-inverse * inverse * product / count);
            f.d[j] = (float)(-inverse * sum / count);
        }
    }
}

INLINE void backward_chunks(int dt, const grid *g, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                            int64_t ldy, int slope, affine f, results o, int64_t from, int64_t to) {
    EACH_CHUNK(g, {
        affine mine = {f.a + at, f.b + at, f.d + at};
        backward_range(dt, x, ldx, of_sample(k, at), y, dy, ldy, slope, mine, o, g->c, first, last);
    })
}

/* Every sample's means and factors, a channel each. */
static void spread(const grid *g, const float *mean, const float *variance, const float *gamma, float epsilon,
                   float *means, float *factors) {
    for (int64_t j = 0; j < g->n * g->c; j++) {
        int64_t k = j / g->c * g->groups + j % g->c / (g->c / g->groups);
        means[j] = mean[k];
        factors[j] = (float)(gamma[j % g->c] * (1 / sqrt((double)variance[k] + epsilon)));
    }
}

int KERNEL(group_norm_again)(int dtype, const void *x, int64_t ldx, const float *mean, const float *variance,
                             const float *gamma, const float *beta, float epsilon, const void *residual, int activation,
                             void *y, int64_t ldy, int64_t n, int64_t rows, int64_t c, int64_t groups) {
    CHECK;
    grid shape = grid_of(n, rows, c, groups), *g = &shape;
    float *means = malloc(2 * (size_t)(n * c) * sizeof(float));
    if (!means) return no_memory(__func__, g);
    float *factors = means + n * c;
    spread(g, mean, variance, gamma, epsilon, means, factors);
    normal k = {means, factors, beta};
    CHUNKS_PARALLEL(g, TYPED(dtype, forward_chunks, g, x, ldx, k, residual, activation, y, ldy, from, to));
    free(means);
    return IST_OK;
}

int KERNEL(group_norm_backward)(int dtype, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                                const float *mean, const float *variance, const float *gamma, const float *beta,
                                float epsilon, int activation, void *dx, int64_t lddx, const void *add, int64_t ldadd,
                                float *dgamma, float *dbeta, void *dresidual, int64_t n, int64_t rows, int64_t c,
                                int64_t groups) {
    CHECK;
    REQUIRE(min64(lddx, ldadd) >= c, "%s: rows of dx are %lld apart but %lld long", __func__,
            (long long)min64(lddx, ldadd), (long long)c);
    grid shape = grid_of(n, rows, c, groups), *g = &shape;
    double *sums;
    float *means;
    int status = scratch(__func__, g, 4, &sums, &means), slope = slope_of(activation, y);
    if (status) return status;
    affine f = {means + n * c, means + 2 * n * c, means + 3 * n * c};
    normal k = {means, f.a, beta};
    spread(g, mean, variance, gamma, epsilon, means, f.a);
    CHUNKS_PARALLEL(g, TYPED(dtype, reduce_chunks, g, x, ldx, k, y, dy, ldy, slope, sums, from, to));
    PARALLEL(n * g->chunks * c, n, 1, for (int64_t s = from; s < to; s++) {
        affine mine = {f.a + s * c, f.b + s * c, f.d + s * c};
        gather(g, sums, s);
        affine_finish(g, sums + s * g->chunks * 2 * c, variance + s * groups, gamma, epsilon, mine);
    });
    for (int64_t j = 0; j < c; j++) {
        double db = 0, dg = 0;
        for (int64_t s = 0; s < n; s++) {
            db += sums[s * g->chunks * 2 * c + j];
            dg += sums[s * g->chunks * 2 * c + c + j];
        }
        dbeta[j] = (float)db;
        dgamma[j] = (float)dg;
    }
    free(sums);
    results o = {dx, lddx, add, ldadd, dresidual};
    if (dx || dresidual)
        CHUNKS_PARALLEL(g, TYPED(dtype, backward_chunks, g, x, ldx, k, y, dy, ldy, slope, f, o, from, to));
    free(means);
    return IST_OK;
}
