/* Batch normalisation and an activation, A = activation(z), before squeeze-and-excitation (Hu et al. 2017), which reads A twice:
 * its means, and A times a factor. A is made again from x wherever it is read, and lies nowhere. */
#include "norm.h"

/* n samples of `long_rows` rows of `width`: `times` rows of c channels side by side. A unit of work is WIDE columns of one. */
typedef struct extent {
    int64_t n, rows, c, times, long_rows, width, blocks;
} extent;

static extent extent_of(int64_t n, int64_t rows, int64_t c) {
    int64_t times = c <= WIDE ? WIDE / c : 1;
    while (rows % times) times--;
    return (extent){n, rows, c, times, rows / times, times * c, (times * c + WIDE - 1) / WIDE};
}

/* What is the same for all rows: numbers of the channels, side by side like the rows; and one sample's, in float32. */
typedef struct unit {
    normal k;
    wide room;
    float s[WIDE], d[WIDE];
    int64_t at, width, sample; /* first element of x, columns, where the sample's numbers start */
} unit;

INLINE void sample_numbers(int dt, const extent *e, const void *from, int64_t at, float factor, float *to,
                           int64_t width) {
    for (int64_t j = 0; j < width; j++) to[j] = from ? load(dt, from, at + j % e->c) * factor : 0;
}

INLINE void unit_of(int dt, const extent *e, int64_t i, normal k, const void *s, const void *dp, unit *u) {
    int64_t b = i % e->blocks * WIDE;
    normal block = {k.mean + b, k.factor + b, k.beta + b};
    u->k = widen(block, e->c, e->times, &u->room);
    u->at = i / e->blocks * e->rows * e->c + b;
    u->width = min64(WIDE, e->width - b);
    u->sample = i / e->blocks * e->c + b;
    sample_numbers(dt, e, s, u->sample, 1, u->s, u->width);
    sample_numbers(dt, e, dp, u->sample, 1 / (float)e->rows, u->d, u->width);
}

INLINE float activated(int dt, int activation, float z) {
    if (activation == IST_RELU) return z < 0 ? 0 : z;
    return activation == IST_SILU ? z * logistic_of(dt, z) : z;
}

INLINE float slope_at(int dt, int activation, float z) {
    if (activation == IST_RELU) return z > 0;
    return activation == IST_SILU ? silu_slope(dt, z) : 1;
}

/* Calls f with type and activation as constants. */
#define ACTIVATED(dt, f, ...) \
    do { \
        if (activation == IST_SILU) f(dt, IST_SILU, __VA_ARGS__); \
        else if (activation == IST_RELU) f(dt, IST_RELU, __VA_ARGS__); \
        else f(dt, IST_NONE, __VA_ARGS__); \
    } while (0)

#define TYPED_ACTIVATED(f, ...) \
    do { \
        if (dtype == IST_BF16) ACTIVATED(IST_BF16, f, __VA_ARGS__); \
        else ACTIVATED(IST_F32, f, __VA_ARGS__); \
    } while (0)

/* Rows whose sums are taken in float32 before the float64 ones take them. */
INLINE int64_t deep(int dt) { return dt == IST_F32 ? 4 : DEEP; }

/* Sums over a sample's rows of A, or of dy A, times factor. */
INLINE void sums_range(int dt, int activation, const extent *e, const void *x, const void *dy, normal k, float factor,
                       void *out, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        unit u;
        unit_of(dt, e, i, k, NULL, NULL, &u);
        float part[WIDE] = {0};
        double sum[WIDE] = {0};
        for (int64_t r = 0; r < e->long_rows; r++) {
            const void *xr = offset(dt, x, u.at + r * e->width), *dr = dy ? offset(dt, dy, u.at + r * e->width) : NULL;
            if (dr) SIMD for (int64_t j = 0; j < u.width; j++)
                part[j] += load(dt, dr, j) * activated(dt, activation, normalized(load(dt, xr, j), u.k, j));
            else SIMD for (int64_t j = 0; j < u.width; j++)
                part[j] += activated(dt, activation, normalized(load(dt, xr, j), u.k, j));
            if ((r + 1) % deep(dt) == 0 || r + 1 == e->long_rows) flush(part, sum, u.width);
        }
        int64_t own = u.width / e->times;
        for (int64_t t = 1; t < e->times; t++)
            for (int64_t j = 0; j < own; j++) sum[j] += sum[t * own + j];
        for (int64_t j = 0; j < own; j++) store(dt, out, u.sample + j, (float)(sum[j] * factor));
    }
}

INLINE void scaled_range(int dt, int activation, const extent *e, const void *x, const void *s, normal k, void *y,
                         int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        unit u;
        unit_of(dt, e, i, k, s, NULL, &u);
        for (int64_t r = 0; r < e->long_rows; r++) {
            const void *xr = offset(dt, x, u.at + r * e->width);
            void *yr = (void *)offset(dt, y, u.at + r * e->width);
            SIMD for (int64_t j = 0; j < u.width; j++)
                store(dt, yr, j, u.s[j] * activated(dt, activation, normalized(load(dt, xr, j), u.k, j)));
        }
    }
}

/* dz: what reaches A through both its readers, before the activation. */
INLINE float gated(int dt, int activation, float x, const void *dy, const unit *u, int64_t j) {
    return (load(dt, dy, j) * u->s[j] + u->d[j]) * slope_at(dt, activation, normalized(x, u->k, j));
}

/* Adds up dz, and dz (x - mean), into each sample's own sums. */
INLINE void gated_reduce(int dt, int activation, const extent *e, const void *x, const void *dy, const void *s,
                         const void *dp, normal k, double *sums, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        unit u;
        unit_of(dt, e, i, k, s, dp, &u);
        float first[WIDE] = {0}, second[WIDE] = {0};
        double sum[WIDE] = {0}, product[WIDE] = {0};
        for (int64_t r = 0; r < e->long_rows; r++) {
            const void *xr = offset(dt, x, u.at + r * e->width), *dr = offset(dt, dy, u.at + r * e->width);
            SIMD for (int64_t j = 0; j < u.width; j++) {
                float v = load(dt, xr, j), dz = gated(dt, activation, v, dr, &u, j);
                first[j] += dz;
                second[j] += dz * (v - u.k.mean[j]);
            }
            if ((r + 1) % deep(dt) == 0 || r + 1 == e->long_rows) {
                flush(first, sum, u.width);
                flush(second, product, u.width);
            }
        }
        for (int64_t j = 0; j < u.width; j++) {
            sums[u.sample + j % e->c] += sum[j];
            sums[e->n * e->c + u.sample + j % e->c] += product[j];
        }
    }
}

INLINE void gated_apply(int dt, int activation, const extent *e, const void *x, const void *dy, const void *s,
                        const void *dp, normal k, affine f, void *dx, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        unit u;
        float a[WIDE], b[WIDE], d[WIDE];
        unit_of(dt, e, i, k, s, dp, &u);
        int64_t at = i % e->blocks * WIDE;
        const float *fa = repeat(f.a + at, e->c, e->times, a), *fb = repeat(f.b + at, e->c, e->times, b),
                    *fd = repeat(f.d + at, e->c, e->times, d);
        for (int64_t r = 0; r < e->long_rows; r++) {
            const void *xr = offset(dt, x, u.at + r * e->width), *dr = offset(dt, dy, u.at + r * e->width);
            void *out = (void *)offset(dt, dx, u.at + r * e->width);
            SIMD for (int64_t j = 0; j < u.width; j++) {
                float v = load(dt, xr, j), dz = gated(dt, activation, v, dr, &u, j);
                store(dt, out, j, fa[j] * dz + (fb[j] * (v - u.k.mean[j]) + fd[j]));
            }
        }
    }
}

#define CHECK \
    REQUIRE_DTYPE(dtype); \
    REQUIRE(n > 0 && rows > 0 && c > 0, "%s: %lld samples of %lld rows of %lld channels", __func__, (long long)n, \
            (long long)rows, (long long)c); \
    REQUIRE(activation >= IST_NONE && activation <= IST_SILU, "%s: no activation %d", __func__, activation)

/* The factor of each channel, in memory that the caller frees, with room for so many more numbers a channel. */
static float *factors_of(const char *call, const float *variance, const float *gamma, float epsilon, int64_t c,
                         int64_t more) {
    float *factor = malloc((size_t)(c * (1 + more)) * sizeof(float));
    if (!factor) ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld channels", call, (long long)c);
    for (int64_t j = 0; factor && j < c; j++) factor[j] = (float)(gamma[j] / sqrt((double)variance[j] + epsilon));
    return factor;
}

#define UNITS_PARALLEL(...) PARALLEL(n * rows * c, shape.n * shape.blocks, 1, __VA_ARGS__)

int KERNEL(norm_means)(int dtype, const void *x, const void *dy, const float *mean, const float *variance,
                       const float *gamma, const float *beta, float epsilon, int activation, void *p, int64_t n,
                       int64_t rows, int64_t c) {
    CHECK;
    extent shape = extent_of(n, rows, c), *e = &shape;
    float *factor = factors_of(__func__, variance, gamma, epsilon, c, 0);
    if (!factor) return IST_OUT_OF_MEMORY;
    normal k = {mean, factor, beta};
    float weight = dy ? 1 : 1 / (float)rows;
    UNITS_PARALLEL(TYPED_ACTIVATED(sums_range, e, x, dy, k, weight, p, from, to));
    free(factor);
    return IST_OK;
}

int KERNEL(norm_scaled)(int dtype, const void *x, const float *mean, const float *variance, const float *gamma,
                        const float *beta, float epsilon, int activation, const void *s, void *y, int64_t n,
                        int64_t rows, int64_t c) {
    CHECK;
    extent shape = extent_of(n, rows, c), *e = &shape;
    float *factor = factors_of(__func__, variance, gamma, epsilon, c, 0);
    if (!factor) return IST_OUT_OF_MEMORY;
    normal k = {mean, factor, beta};
    UNITS_PARALLEL(TYPED_ACTIVATED(scaled_range, e, x, s, k, y, from, to));
    free(factor);
    return IST_OK;
}

int KERNEL(norm_scaled_backward)(int dtype, const void *x, const void *dy, const float *mean, const float *variance,
                                 const float *gamma, const float *beta, float epsilon, int activation, const void *s,
                                 const void *dp, void *dx, float *dgamma, float *dbeta, int64_t n, int64_t rows,
                                 int64_t c) {
    CHECK;
    extent shape = extent_of(n, rows, c), *e = &shape;
    affine f = {factors_of(__func__, variance, gamma, epsilon, c, 2), NULL, NULL};
    double *sums = calloc((size_t)(2 * n * c), sizeof(double));
    if (!f.a || !sums) {
        free(f.a);
        free(sums);
        return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld samples", __func__, (long long)n);
    }
    f.b = f.a + c;
    f.d = f.b + c;
    normal k = {mean, f.a, beta};
    UNITS_PARALLEL(TYPED_ACTIVATED(gated_reduce, e, x, dy, s, dp, k, sums, from, to));
    double count = (double)n * (double)rows;
    for (int64_t j = 0; j < c; j++) {
        double inverse = 1 / sqrt((double)variance[j] + epsilon), db = 0, dg = 0;
        for (int64_t i = 0; i < n; i++) {
            db += sums[i * c + j];
            dg += sums[(n + i) * c + j] * inverse;
        }
        dbeta[j] = (float)db;
        dgamma[j] = (float)dg;
        f.b[j] = (float)(-gamma[j] * inverse * inverse * dg / count);
        f.d[j] = (float)(-gamma[j] * inverse * db / count);
    }
    free(sums);
    UNITS_PARALLEL(TYPED_ACTIVATED(gated_apply, e, x, dy, s, dp, k, f, dx, from, to));
    free(f.a);
    return IST_OK;
}
