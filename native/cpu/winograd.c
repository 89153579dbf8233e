/*
 * Convolution in bf16 by Winograd's F(2x2,3x3), for processors whose bf16 products are the limit (AVX-512 BF16; with AMX they
 * are not). For each of the 16 points of a transformed tile: tiles x channels times channels x output channels, summed in
 * float32. Tiles are taken a chunk at a time, so that what is between the transforms stays in the second cache.
 *
 * A sum does not depend on how the work is cut, so neither do its bits on the number of threads.
 */
#include "winograd.h"

/* A group of TILES against BLOCK output channels: the sums fill the registers. */
#define TILES 14

/* What a chunk's transformed input may take of the second cache, and the most groups in a chunk. */
#define CHUNK_BYTES (400 << 10)
#define CHUNK_GROUPS 4

/* How a convolution is cut. */
typedef struct cut {
    tiling tiles;
    int64_t taps;      /* along the depth: as many transformed planes are kept */
    int64_t groups;    /* of TILES columns */
    int64_t in, out;   /* blocks of channels */
    int64_t chunk;     /* groups */
    int64_t weights;   /* elements of the transformed weights of one output block, point and tap */
    int64_t plane;     /* elements of a chunk's transformed plane */
} cut;

static cut cut_of(const ist_window *w) {
    cut s;
    s.tiles = tiling_of(w);
    s.taps = w->kernel[0];
    s.groups = (s.tiles.columns + TILES - 1) / TILES;
    s.in = w->channels / BLOCK;
    s.out = w->out_channels / BLOCK;
    s.weights = w->channels * BLOCK;
    int64_t group = POINTS * TILES * w->channels, most = CHUNK_BYTES / (2 * group * s.taps);
    s.chunk = min64(min64(s.groups, CHUNK_GROUPS), most < 1 ? 1 : most);
    s.plane = s.chunk * group;
    return s;
}

/* Bytes of the transformed weights, and of what one thread works in: its planes, its sums and a row of zeros. */
static int64_t weight_bytes(const cut *s) { return 2 * s->out * POINTS * s->taps * s->weights; }
static int64_t sum_bytes(const cut *s) { return 4 * s->chunk * POINTS * TILES * BLOCK; }
static int64_t thread_bytes(const cut *s) { return 2 * s->taps * s->plane + sum_bytes(s) + 2 * s->in * BLOCK; }

int KERNEL(winograd_scratch)(const ist_window *window, int64_t threads, int64_t *bytes) {
    int status = winograd_check(__func__, window);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(window);
    *bytes = weight_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

#if defined(__AVX512BF16__)

/* What one thread reads and where it works. */
typedef struct job {
    const ist_window *window;
    cut s;
    const uint16_t *x;
    const float *w, *bias;
    int turned;
    uint16_t *y, *u, *planes, *zeros; /* u [out block, point, tap, channel pair, BLOCK, 2] */
    float *sums;                      /* [group, POINTS, TILES, BLOCK] */
} job;

/* ---- Weights: u = G g G' of every 3x3 ---- */

/* u of one input channel and BLOCK output channels, whose 3x3 lie `next` floats apart; written with steps of two. */
static void transform_weights(const float *g, int64_t next, int turned, uint16_t *u, int64_t point) {
    float t[9][BLOCK], d[12][BLOCK];
    for (int64_t j = 0; j < BLOCK; j++)
        for (int64_t i = 0; i < 9; i++) t[i][j] = g[j * next + (turned ? 8 - i : i)];
    for (int64_t i = 0; i < 3; i++) {
        SIMD for (int64_t j = 0; j < BLOCK; j++) {
            float a = t[i][j], b = t[3 + i][j], c = t[6 + i][j];
            d[i][j] = a;
            d[3 + i][j] = 0.5f * (a + b + c);
            d[6 + i][j] = 0.5f * (a - b + c);
            d[9 + i][j] = c;
        }
    }
    for (int64_t i = 0; i < 4; i++) {
        SIMD for (int64_t j = 0; j < BLOCK; j++) {
            float a = d[3 * i][j], b = d[3 * i + 1][j], c = d[3 * i + 2][j];
            uint16_t *to = u + 4 * i * point + 2 * j;
            to[0] = f32_to_bf16(a);
            to[point] = f32_to_bf16(0.5f * (a + b + c));
            to[2 * point] = f32_to_bf16(0.5f * (a - b + c));
            to[3 * point] = f32_to_bf16(c);
        }
    }
}

/* The pieces [from, to): piece p is one output block and input channel. */
static void weights_range(const job *j, int64_t from, int64_t to) {
    int64_t c = j->window->channels, k = j->window->out_channels, taps = j->s.taps;
    int64_t across = (j->turned ? 1 : c) * taps * 9, along = (j->turned ? k : 1) * taps * 9;
    for (int64_t p = from; p < to; p++) {
        int64_t block = p / c, channel = p % c;
        for (int64_t tap = 0; tap < taps; tap++) {
            const float *g = j->w + block * BLOCK * across + channel * along + (j->turned ? taps - 1 - tap : tap) * 9;
            uint16_t *u = j->u + (block * POINTS * taps + tap) * j->s.weights + channel / 2 * 2 * BLOCK + channel % 2;
            transform_weights(g, across, j->turned, u, taps * j->s.weights);
        }
    }
}

/* ---- Input: planes [group, channel block, POINTS, TILES, BLOCK] ---- */

/* From one point to the next, in planes and in sums: a constant, so that no address is computed. */
#define POINT (TILES * BLOCK)

static void transform_plane(const job *j, int64_t first, int64_t groups, int64_t z, uint16_t *plane) {
    const ist_window *w = j->window;
    int64_t size = w->in[1] * w->in[2] * w->channels;
    for (int64_t t = 0; t < groups * TILES; t++) {
        /* Behind the last tile stands the last again. */
        place p = place_of(&j->s.tiles, min64(first * TILES + t, j->s.tiles.columns - 1));
        patch from = patch_of(w, j->x + (p.n * w->in[0] + z) * size, w->channels, &p, j->zeros);
        uint16_t *to = plane + t / TILES * j->s.in * POINTS * POINT + t % TILES * BLOCK;
        for (int64_t c = 0; c < w->channels; c += BLOCK, to += POINTS * POINT) {
            for (int64_t half = 0; half < BLOCK; half += 16) {
                lanes v[POINTS];
                transform_input(&from, c + half, v);
                UNROLL for (int i = 0; i < POINTS; i++) narrow(to + half + i * POINT, v[i]);
            }
        }
    }
}

/* ---- The products ---- */

/* Of one group, point and output block: the sum over taps of planes v times u. */
static __attribute__((noinline)) void multiply(const uint16_t *const *v, const uint16_t *const *u, int64_t taps,
                                               int64_t blocks, float *sum) {
    __m512 s[TILES][2];
    UNROLL for (int t = 0; t < TILES; t++) s[t][0] = s[t][1] = _mm512_setzero_ps();
    for (int64_t tap = 0; tap < taps; tap++) {
        const char *row = (const char *)v[tap], *column = (const char *)u[tap];
        for (int64_t b = 0; b < blocks; b++, row += 2 * (POINTS * POINT - BLOCK)) {
            for (const char *end = row + 2 * BLOCK; row < end; row += 4, column += 4 * BLOCK) {
                __m512bh w0 = (__m512bh)_mm512_loadu_si512(column), w1 = (__m512bh)_mm512_loadu_si512(column + 64);
                UNROLL for (int t = 0; t < TILES; t++) {
                    int32_t pair;
                    memcpy(&pair, row + t * 2 * BLOCK, 4);
                    __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
                    s[t][0] = _mm512_dpbf16_ps(s[t][0], x, w0);
                    s[t][1] = _mm512_dpbf16_ps(s[t][1], x, w1);
                }
            }
        }
    }
    UNROLL for (int t = 0; t < TILES; t++) {
        _mm512_storeu_ps(sum + t * BLOCK, s[t][0]);
        _mm512_storeu_ps(sum + t * BLOCK + 16, s[t][1]);
    }
}

/* All points and groups of a chunk against one output block; slots: planes by tap, NULL beside the input. */
static void products(const job *j, uint16_t *const *slots, int64_t groups, int64_t block) {
    int64_t taps = j->s.taps, group = j->s.in * POINTS * POINT;
    for (int64_t point = 0; point < POINTS; point++) {
        for (int64_t g = 0; g < groups; g++) {
            const uint16_t *v[taps], *u[taps];
            int64_t n = 0;
            for (int64_t tap = 0; tap < taps; tap++) {
                if (!slots[tap]) continue;
                v[n] = slots[tap] + g * group + point * POINT;
                u[n++] = j->u + ((block * POINTS + point) * taps + tap) * j->s.weights;
            }
            multiply(v, u, n, j->s.in, j->sums + (g * POINTS + point) * POINT);
        }
    }
}

/* ---- Output: y = A'm A ---- */

INLINE void transform_output(const float *m, lanes bias, lanes y[4]) {
    lanes s[8];
    UNROLL for (int i = 0; i < 4; i++) {
        const float *p = m + i * POINT;
        lanes a = (lanes)_mm512_loadu_ps(p), b = (lanes)_mm512_loadu_ps(p + 4 * POINT);
        lanes c = (lanes)_mm512_loadu_ps(p + 8 * POINT), d = (lanes)_mm512_loadu_ps(p + 12 * POINT);
        s[i] = a + b + c;
        s[4 + i] = b - c - d;
    }
    UNROLL for (int i = 0; i < 2; i++) {
        y[2 * i] = s[4 * i] + s[4 * i + 1] + s[4 * i + 2] + bias;
        y[2 * i + 1] = s[4 * i + 1] - s[4 * i + 2] - s[4 * i + 3] + bias;
    }
}

/* BLOCK channels of one position. */
INLINE void write(uint16_t *y, lanes low, lanes high) {
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
}

static void write_tiles(const job *j, int64_t first, int64_t groups, int64_t z, int64_t block) {
    const ist_window *w = j->window;
    int64_t ld = w->out_channels, line = w->out[2] * ld;
    int64_t tiles = min64(groups * TILES, j->s.tiles.columns - first * TILES);
    for (int64_t t = 0; t < tiles; t++) {
        place p = place_of(&j->s.tiles, first * TILES + t);
        uint16_t *to = j->y + ((p.n * w->out[0] + z) * w->out[1] + p.row) * line + p.column * ld + block * BLOCK;
        int right = p.column + 1 < w->out[2], below = p.row + 1 < w->out[1];
        const float *m = j->sums + t / TILES * POINTS * POINT + t % TILES * BLOCK;
        lanes low[4], high[4], bias[2] = {{0}};
        if (j->bias) memcpy(bias, j->bias + block * BLOCK, sizeof bias);
        transform_output(m, bias[0], low);
        transform_output(m + 16, bias[1], high);
        write(to, low[0], high[0]);
        if (right) write(to + ld, low[1], high[1]);
        if (below) write(to + line, low[2], high[2]);
        if (right && below) write(to + line + ld, low[3], high[3]);
    }
}

/* ---- Shares ---- */

/* A chunk of groups, over the output planes [start, end), against the output blocks [block, last). */
static void chunk(const job *j, int64_t first, int64_t groups, int64_t start, int64_t end, int64_t block,
                  int64_t last) {
    int64_t taps = j->s.taps, depth = j->window->in[0], pad = j->window->padding[0], done = start - pad;
    for (int64_t z = start; z < end; z++) {
        uint16_t *slots[taps];
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t plane = z - pad + tap, in = plane >= 0 && plane < depth;
            slots[tap] = in ? j->planes + plane % taps * j->s.plane : NULL;
            if (in && plane >= done) transform_plane(j, first, groups, plane, slots[tap]);
        }
        done = z - pad + taps;
        for (int64_t b = block; b < last; b++) {
            products(j, slots, groups, b);
            write_tiles(j, first, groups, z, b);
        }
    }
}

/* The shares [from, to): share s is group s % groups, of run s / groups % runs of the planes and part s / groups / runs of
 * the output blocks. */
static void work(const job *j, int64_t runs, int64_t parts, int64_t from, int64_t to) {
    int64_t depth = j->window->out[0];
    while (from < to) {
        int64_t first = from % j->s.groups, run = from / j->s.groups % runs, part = from / j->s.groups / runs;
        int64_t groups = min64(min64(j->s.chunk, j->s.groups - first), to - from);
        chunk(j, first, groups, depth * run / runs, depth * (run + 1) / runs, j->s.out * part / parts,
              j->s.out * (part + 1) / parts);
        from += groups;
    }
}

/* How often to cut something that can be cut `most` times, where `have` shares are there and four a thread are wanted. */
INLINE int64_t pieces(int64_t most, int64_t have, int64_t threads) {
    int64_t wanted = (4 * threads + have - 1) / have;
    return wanted > most ? most < 1 ? 1 : most : wanted;
}

static void convolve(const job *all, int64_t threads) {
    const cut *s = &all->s;
    int64_t runs = pieces(all->window->out[0] / (4 * s->taps), s->groups, threads);
    int64_t parts = pieces(s->out, s->groups * runs, threads);
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to, thread = omp_get_thread_num();
        share(s->out * all->window->channels, 2, &from, &to);
        weights_range(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        mine.planes = (uint16_t *)((char *)all->planes + thread * thread_bytes(s));
        mine.sums = (float *)(mine.planes + s->taps * s->plane);
        mine.zeros = (uint16_t *)((char *)mine.sums + sum_bytes(s));
        memset(mine.zeros, 0, (size_t)(2 * s->in * BLOCK));
        share(s->groups * runs * parts, 1, &from, &to);
        work(&mine, runs, parts, from, to);
    }
}
#endif

int KERNEL(winograd)(const ist_window *window, const void *x, const float *w, int turned, const float *bias, void *y,
                     void *scratch, int64_t bytes) {
    int status = winograd_check(__func__, window);
    if (status) return status;
    cut s = cut_of(window);
    if (s.groups == 0) return IST_OK;
    int64_t threads = min64((bytes - weight_bytes(&s)) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(weight_bytes(&s) + thread_bytes(&s)));
#if defined(__AVX512BF16__)
    uint16_t *planes = (uint16_t *)((char *)scratch + weight_bytes(&s));
    job all = {window, s, x, w, bias, turned, y, scratch, planes, NULL, NULL};
    convolve(&all, threads);
#else
    (void)x, (void)w, (void)turned, (void)bias, (void)y, (void)scratch, (void)sum_bytes;
#endif
    return IST_OK;
}
