/*
 * Weight gradient in bf16 by Winograd's algorithm, F(2x2,3x3) transposed: from a 4x4 tile x of the input and the 2x2 tile
 * dy of the output over it
 *     dw = G' [ sum over tiles of (B'x B) (A dy A') ] G
 * with the inner product taken point by point. For each of the 16 points, and each tap of depth, that is channels x tiles
 * times tiles x output channels.
 *
 * A thread sums some of the four rows of points, over some of the tiles, for one block of channels: what it transforms and
 * sums stays in its second cache, and nothing is shared. Into which parts tiles are cut, and the order of a sum, do not
 * depend on the number of threads, so neither do the bits.
 */
#include "winograd_pairs.h"

static int weights_check(const char *call, const ist_window *w) {
    int status = winograd_check(call, w);
    if (status) return status;
    REQUIRE(w->kernel[0] <= MOST_TAPS, "%s: %lld taps of depth; %d are the most", call, (long long)w->kernel[0], MOST_TAPS);
    return IST_OK;
}

int KERNEL(winograd_weights_scratch)(const ist_window *window, int64_t threads, int64_t *bytes) {
    int status = weights_check(__func__, window);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    *bytes = scratch_bytes(window, threads);
    return IST_OK;
}

#if defined(__AVX512BF16__)

/* What a thread works on: rows of points from `first` on, of one part of the tiles and one block of channels. */
typedef struct job {
    const ist_window *window;
    cut s;
    split_norm norm;        /* of x; as x and dy, from the block's first channel on */
    const uint16_t *x, *dy;
    int64_t ldx, lddy, part, first;
    int64_t in, out;        /* channels of the block: the last ones may have fewer */
    uint32_t *v, *d;        /* transformed: [slot, row, point, pair, ldv] and [plane, row, point, pair, ldd] */
    float *sums;            /* [row, tap, point, band, panel, rows, BLOCK] */
} job;

static const uint16_t *x_plane(const job *j, int64_t n, int64_t depth) {
    const int64_t *size = j->window->in;
    return j->x + (n * size[0] + depth) * size[1] * size[2] * j->ldx;
}

static const uint16_t *dy_plane(const job *j, int64_t n, int64_t depth) {
    const int64_t *size = j->window->out;
    return j->dy + (n * size[0] + depth) * size[1] * size[2] * j->lddy;
}

/* ---- Transforms ---- */

/* Which two of a tile's lines a row of points combines. */
static const int lines_of[4][2] = {{0, 2}, {1, 2}, {2, 1}, {1, 3}};

/* The job's rows of points of two tiles, whose lines begin with the columns at [line]. */
INLINE void transform_x_rows(const job *j, int norm, int side, const uint16_t *const at[4][8], uint32_t *to) {
    int64_t next = j->s.pairs * j->s.ldv;
    for (int64_t row = j->first; row < j->first + j->s.lines; row++, to += 4 * next) {
        const uint16_t *const *one = at[lines_of[row][0]], *const *two = at[lines_of[row][1]];
        if (side && row == 1) transform_x(1, 1, norm, &j->norm, one, two, j->in, to, next);
        else if (side) transform_x(1, 0, norm, &j->norm, one, two, j->in, to, next);
        else if (row == 1) transform_x(0, 1, norm, &j->norm, one, two, j->in, to, next);
        else transform_x(0, 0, norm, &j->norm, one, two, j->in, to, next);
    }
}

static void transform_x_pair(const job *j, int side, const uint16_t *const at[4][8], uint32_t *to) {
    if (j->norm.on) transform_x_rows(j, 1, side, at, to);
    else transform_x_rows(j, 0, side, at, to);
}

/* The tiles [tile, end) of an input plane, in pairs. */
static void transform_x_tiles(const job *j, int64_t tile, int64_t end, int64_t depth, uint32_t *to) {
    const ist_window *w = j->window;
    int need[4] = {0};
    for (int64_t row = j->first; row < j->first + j->s.lines; row++) need[lines_of[row][0]] = need[lines_of[row][1]] = 1;
    place a = place_of(&j->s.tiles, tile), b;
    for (; tile < end; tile += 2, to += j->s.ldv, a = place_after(&j->s.tiles, b)) {
        b = place_after(&j->s.tiles, a);
        int side = a.column < b.column && tile + 1 < end;
        const uint16_t *at[4][8];
        for (int i = 0; i < 4; i++) {
            if (!need[i]) continue;
            int64_t up = i - w->padding[1], left = -w->padding[2], below = tile + 1 < end ? b.row + up : -1;
            columns_of(x_plane(j, a.n, depth), w->in, j->ldx, a.row + up, a.column + left, side ? 6 : 4, at[i]);
            if (!side) columns_of(x_plane(j, b.n, depth), w->in, j->ldx, below, b.column + left, 4, at[i] + 4);
        }
        transform_x_pair(j, side, (const uint16_t *const (*)[8])at, to);
    }
}

/* The same of a plane of dy. */
static void transform_dy_tiles(const job *j, int64_t tile, int64_t end, int64_t depth, uint32_t *to) {
    const ist_window *w = j->window;
    int64_t next = j->s.pairs * j->s.ldd;
    place a = place_of(&j->s.tiles, tile), b;
    for (; tile < end; tile += 2, to += j->s.ldd, a = place_after(&j->s.tiles, b)) {
        b = place_after(&j->s.tiles, a);
        const uint16_t *at[2][4];
        for (int i = 0; i < 2; i++) {
            int64_t below = tile + 1 < end ? b.row + i : -1;
            columns_of(dy_plane(j, a.n, depth), w->out, j->lddy, a.row + i, a.column, 2, at[i]);
            columns_of(dy_plane(j, b.n, depth), w->out, j->lddy, below, b.column, 2, at[i] + 2);
        }
        uint32_t *row_to = to;
        for (int64_t row = j->first; row < j->first + j->s.lines; row++, row_to += 4 * next) {
            if (row == 0) transform_dy(0, at[0], at[0], j->out, row_to, next);
            else if (row == 1) transform_dy(1, at[0], at[1], j->out, row_to, next);
            else if (row == 2) transform_dy(-1, at[0], at[1], j->out, row_to, next);
            else transform_dy(0, at[1], at[1], j->out, row_to, next);
        }
    }
}

/* ---- What comes next is fetched while this is multiplied ---- */

typedef struct ahead {
    int64_t tile, end, x, dy; /* pairs of tiles, at planes of x and dy */
    int64_t per, due;         /* multiplications in which all are to be fetched; pairs times `per` that are due */
} ahead;

/* After the planes from `from` on of the chunk of tiles: its next planes, or the first ones of the next chunk. */
static ahead ahead_of(const job *j, int64_t tile, int64_t from) {
    int64_t next = from + j->s.planes;
    ahead a = {tile, 0, next - j->window->padding[0] + j->s.taps - 1, next, 0, 0};
    if (next >= j->window->out[0]) {
        a.tile += 2 * j->s.pairs;
        a.x = a.dy = 0;
    }
    a.end = min64(a.tile + 2 * j->s.pairs, j->s.tiles.columns);
    a.per = j->s.lines * j->s.taps * 4 * j->s.bands * j->s.panels;
    return a;
}

/* Those lines of a pair that the tiles above it do not have, as far as the job's rows of points need them. */
static void fetch_pair(const job *j, const ahead *a) {
    const ist_window *w = j->window;
    place p = place_of(&j->s.tiles, a->tile);
    int64_t from = j->first == 3, to = j->first + j->s.lines == 1 ? 1 : 2;
    for (int64_t i = from; i < to; i++) {
        if (a->x < w->in[0])
            fetch(x_plane(j, p.n, a->x), w->in, j->ldx, p.row + 2 + i - w->padding[1], p.column + 2 - w->padding[2],
                  j->in);
        fetch(dy_plane(j, p.n, a->dy), w->out, j->lddy, p.row + i, p.column, j->out);
    }
}

static void fetch_due(const job *j, ahead *a) {
    for (a->due += j->s.pairs; a->due >= a->per && a->tile < a->end; a->due -= a->per, a->tile += 2) fetch_pair(j, a);
}

/* ---- The product ---- */

/* Pairs of tiles of one plane. */
typedef struct run {
    const uint32_t *v, *d;
} run;

/* Adds to sums [rows, BLOCK] the products of `count` runs of `pairs` pairs. */
INLINE void multiply(int rows, const run *runs, int64_t count, int64_t pairs, int64_t ldv, int64_t ldd, float *sums) {
    __m512 sum[ROWS][2];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int i = 0; i < 2; i++) sum[r][i] = _mm512_loadu_ps(sums + r * BLOCK + i * LANES);
    for (const run *end = runs + count; runs < end; runs++) {
        const uint32_t *v = runs->v, *d = runs->d;
        for (int64_t p = 0; p < pairs; p++, v += ldv, d += ldd) {
            __m512bh low = (__m512bh)_mm512_loadu_si512(d), high = (__m512bh)_mm512_loadu_si512(d + LANES);
            UNROLL for (int r = 0; r < rows; r++) {
                __m512bh x = (__m512bh)_mm512_set1_epi32((int)v[r]);
                sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, low);
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, high);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int i = 0; i < 2; i++) _mm512_storeu_ps(sums + r * BLOCK + i * LANES, sum[r][i]);
}

#define EACH_ROWS(f) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
#define MULTIPLIER(rows) \
    static void multiply_##rows(const run *runs, int64_t count, int64_t pairs, int64_t ldv, int64_t ldd, float *sums) { \
        multiply(rows, runs, count, pairs, ldv, ldd, sums); \
    }
EACH_ROWS(MULTIPLIER)

typedef void multiplier(const run *runs, int64_t count, int64_t pairs, int64_t ldv, int64_t ldd, float *sums);
#define NAME(rows) multiply_##rows,
static multiplier *const multipliers[] = {EACH_ROWS(NAME)};

/* All bands by all panels of one point and tap. */
static void multiply_point(const job *j, const run *runs, int64_t count, int64_t pairs, float *sums, ahead *a) {
    const cut *s = &j->s;
    run at[PAIRS];
    for (int64_t b = 0; b < s->bands; b++)
        for (int64_t p = 0; p < s->panels; p++, sums += s->rows * BLOCK) {
            for (int64_t i = 0; i < count; i++) at[i] = (run){runs[i].v + b * s->rows, runs[i].d + p * BLOCK};
            fetch_due(j, a);
            multipliers[s->rows - LEAST_ROWS](at, count, pairs, s->ldv, s->ldd, sums);
        }
}

/* Where a plane of x, and plane number i of a chunk's dy, are transformed to. */
static uint32_t *slot_of(const job *j, int64_t depth) {
    return j->v + depth % j->s.slots * j->s.lines * 4 * j->s.pairs * j->s.ldv;
}
static uint32_t *dy_slot_of(const job *j, int64_t i) { return j->d + i * j->s.lines * 4 * j->s.pairs * j->s.ldd; }

/* A row of points, planes [from, to) of dy, `pairs` pairs of tiles. */
static void multiply_row(const job *j, int64_t row, int64_t from, int64_t to, int64_t pairs, ahead *a) {
    const cut *s = &j->s;
    run runs[PAIRS];
    float *sums = j->sums + (row - j->first) * row_size(s);
    for (int64_t tap = 0; tap < s->taps; tap++)
        for (int64_t point = 0; point < 4; point++, sums += point_size(s)) {
            int64_t count = 0;
            for (int64_t o = from; o < to; o++) {
                int64_t i = o + tap - j->window->padding[0];
                if (i < 0 || i >= j->window->in[0]) continue;
                int64_t at = ((row - j->first) * 4 + point) * s->pairs;
                runs[count++] = (run){slot_of(j, i) + at * s->ldv, dy_slot_of(j, o - from) + at * s->ldd};
            }
            if (count > 0) multiply_point(j, runs, count, pairs, sums, a);
        }
}

/* Planes [from, to) of dy and the tiles from `tile` on. next: the first plane of x not transformed yet; returns the next. */
static int64_t work_planes(const job *j, int64_t tile, int64_t from, int64_t to, int64_t next) {
    const ist_window *w = j->window;
    int64_t first = from - w->padding[0], last = min64(to - 1 - w->padding[0] + j->s.taps, w->in[0]);
    int64_t end = min64(tile + 2 * j->s.pairs, j->s.tiles.columns);
    ahead a = ahead_of(j, tile, from);
    if (next < first) next = first;
    for (; next < last; next++) transform_x_tiles(j, tile, end, next, slot_of(j, next));
    for (int64_t o = from; o < to; o++) transform_dy_tiles(j, tile, end, o, dy_slot_of(j, o - from));
    for (int64_t row = j->first; row < j->first + j->s.lines; row++)
        multiply_row(j, row, from, to, over(end - tile, 2), &a);
    return next;
}

/* A chunk of tiles at a time, through all depths: what lies under several taps is transformed once. */
static void work(const job *j) {
    memset(j->sums, 0, (size_t)(j->s.lines * row_size(&j->s)) * 4);
    for (int64_t chunk = j->part * j->s.chunks; chunk < (j->part + 1) * j->s.chunks; chunk++) {
        int64_t tile = chunk * 2 * j->s.pairs, depth = j->window->out[0], next = 0;
        for (int64_t from = 0; from < depth && tile < j->s.tiles.columns; from += j->s.planes)
            next = work_planes(j, tile, from, min64(from + j->s.planes, depth), next);
    }
}

/* ---- The result ---- */

/* G'u G of LANES output channels: the parts' sums of the sixteen points -> [9, LANES]. */
INLINE void taps_of(const cut *s, const float *sums, lanes *to) {
    lanes u[4][4], half[4][3];
    for (int i = 0; i < 4; i++) {
        for (int p = 0; p < 4; p++) {
            const float *at = sums + i * row_size(s) + p * point_size(s);
            u[i][p] = (lanes)_mm512_loadu_ps(at);
            for (int64_t n = 1; n < s->parts; n++) u[i][p] += (lanes)_mm512_loadu_ps(at + n * s->group * 4 * row_size(s));
        }
        times_g(u[i], 1, half[i], 1);
    }
    for (int i = 0; i < 3; i++) times_g(&half[0][i], 3, to + i, 3);
}

/* One band of the block by LANES output channels from `first` on: dw [out_channels, channels, kernel] from the block's
 * first weight on. */
static void write_band(const job *j, int64_t band, int64_t first, float *dw) {
    const cut *s = &j->s;
    int64_t each = s->taps * 9, ld = j->window->channels * each;
    int64_t count = min64(s->rows, j->in - band * s->rows) * each;
    lanes part[ROWS * MOST_TAPS * 9 + LANES];
    const float *sums = j->sums + (band * s->panels + first / BLOCK) * s->rows * BLOCK + first % BLOCK;
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t tap = 0; tap < s->taps; tap++)
            taps_of(s, sums + r * BLOCK + tap * 4 * point_size(s), part + r * each + tap * 9);
    float *to = dw + first * ld + band * s->rows * each;
    for (int64_t i = 0; i < count; i += LANES)
        transpose(part + i, to + i, ld, (__mmask16)(count - i >= LANES ? 0xffff : (1 << (count - i)) - 1));
}

/* ---- Shares ---- */

/* Rows of points from `row` on, of one block; group: the first block whose sums are in memory. */
static job job_of(const job *all, int64_t group, int64_t block, int64_t part, int64_t row) {
    const cut *s = &all->s;
    job j = *all;
    int64_t in = block % s->in_blocks * s->in, out = block / s->in_blocks * s->out;
    j.part = part;
    j.first = row;
    j.x += in;
    j.norm.numbers.mean += in;
    j.norm.numbers.factor += in;
    j.norm.numbers.beta += in;
    j.dy += out;
    j.in = min64(s->in, all->window->channels - in);
    j.out = min64(s->out, all->window->out_channels - out);
    j.sums += ((part * s->group + block - group) * 4 + row) * row_size(s);
    return j;
}

/* By the threads together: the sums of the blocks [from, to). */
static void sum_blocks(const job *all, int64_t from, int64_t to) {
    const cut *s = &all->s;
    int64_t rows = 4 / s->lines, each = rows * s->parts;
    PRAGMA(omp for schedule(dynamic, 1))
    for (int64_t item = from * each; item < to * each; item++) {
        job j = job_of(all, from, item / each, item % each / rows, item % rows * s->lines);
        j.v += omp_get_thread_num() * (v_size(s) + d_size(s));
        j.d = j.v + v_size(s);
        work(&j);
    }
}

static void write_blocks(const job *all, int64_t from, int64_t to, float *dw) {
    const cut *s = &all->s;
    int64_t across = s->out / LANES, each = s->bands * across, taps = s->taps * 9;
    PRAGMA(omp for)
    for (int64_t item = from * each; item < to * each; item++) {
        int64_t block = item / each, band = item % each / across, first = item % across * LANES;
        int64_t in = block % s->in_blocks * s->in, out = block / s->in_blocks * s->out;
        job j = job_of(all, from, block, 0, 0);
        if (band * s->rows < j.in && first < j.out)
            write_band(&j, band, first, dw + (out * all->window->channels + in) * taps);
    }
}
#endif

int KERNEL(winograd_weights)(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm,
                             const void *dy, int64_t lddy, float *dw, void *scratch, int64_t bytes) {
    int status = weights_check(__func__, window);
    if (status == IST_OK) status = norm_check(__func__, norm);
    if (status) return status;
    REQUIRE(ldx >= window->channels && lddy >= window->out_channels,
            "%s: pixels of %lld and %lld channels are %lld and %lld apart", __func__, (long long)window->channels,
            (long long)window->out_channels, (long long)ldx, (long long)lddy);
    int64_t threads = omp_get_max_threads();
    while (threads > 1 && scratch_bytes(window, threads) > bytes) threads--;
    REQUIRE(scratch_bytes(window, threads) <= bytes, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__,
            (long long)bytes, (long long)scratch_bytes(window, 1));
#if defined(__AVX512BF16__)
    cut s = cut_of(window, threads);
    split_norm of = split_norm_of(norm, window->channels, scratch);
    float *sums = (float *)scratch + norm_size(window);
    job all = {window, s, of, x, dy, ldx, lddy, 0, 0, 0, 0, (uint32_t *)(sums + sums_size(&s)), NULL, sums};
    int64_t blocks = s.in_blocks * s.out_blocks;
    PRAGMA(omp parallel num_threads((int)threads))
    for (int64_t from = 0; from < blocks; from += s.group) {
        int64_t to = min64(from + s.group, blocks);
        sum_blocks(&all, from, to);
        write_blocks(&all, from, to, dw);
    }
#else
    (void)x, (void)dy, (void)dw, (void)scratch, (void)norm_size;
#endif
    return IST_OK;
}
