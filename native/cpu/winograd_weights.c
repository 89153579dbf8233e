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
    norm_input norm;        /* of x; mean NULL: none */
    const uint16_t *x, *dy; /* these all from the block's first channel on */
    int64_t ldx, lddy, part, first;
    int64_t in, out;        /* channels of the block: the last ones may have fewer */
    uint32_t *v, *d;        /* transformed: [slot, row, point, pair, ldv] and [plane, row, point, pair, ldd] */
    uint16_t *zeros, *made; /* lines for the transforms: [channel block, column, BLOCK] one of zeros, then a chunk's */
    float *sums;            /* [row, sub, tap, point, band, panel, rows, BLOCK] */
} job;

/* ---- Transforms ---- */

/* A chunk of tiles: pairs of strips [strip, strip + 2 high), columns of tiles [column, column + wide). */
typedef struct chunk {
    int64_t strip, high, column, wide;
} chunk;

static chunk chunk_of(const cut *s, int64_t number) {
    int64_t strip = number / s->segments * s->high * 2, column = number % s->segments * s->wide;
    return (chunk){strip, min64(s->high, over(s->strips - strip, 2)), column, min64(s->wide, s->tiles.wide - column)};
}

/* The number of a strip's first line. */
static int64_t line_of(const job *j, const pictures *p, int64_t strip) {
    return strip / j->s.tiles.high * p->lines + strip % j->s.tiles.high * 2;
}

/* The number of the line behind the last that a chunk reads. */
static int64_t end_of(const job *j, const pictures *p, const chunk *k) {
    int64_t beside = p->lines - 2 * j->s.tiles.high;
    return line_of(j, p, min64(k->strip + 2 * k->high, j->s.strips) - 1) + 2 + beside;
}

/* The columns that a chunk reads, with those beside its tiles. */
static extent columns_of(const chunk *k, int64_t beside) { return (extent){2 * k->column, 2 * k->wide + beside}; }

/* What a chunk reads of a plane, as far as the job's rows of points do: the first one only even lines, the last only odd. */
static void fill_lines(const job *j, const pictures *p, const chunk *k, int64_t depth) {
    const cut *s = &j->s;
    int skip = s->lines > 1 ? -1 : j->first == 0 ? 1 : j->first == 3 ? 0 : -1;
    int64_t beside = p->lines - 2 * s->tiles.high, first = line_of(j, p, k->strip), end = end_of(j, p, k);
    for (int64_t i = first; i < end; i++)
        if (i % 2 != skip)
            fill_line(p, i, depth, columns_of(k, beside), (line){j->made + (i - first) * line_size(s), block_size(s)});
}

/* The job's rows of points of a block of channels of two strips, whose first lines begin at `strips`. */
static void transform_block(const job *j, int of_x, const uint16_t *const strips[2], int64_t wide, target at) {
    for (int64_t row = j->first; row < j->first + j->s.lines; row++, at.to += 4 * at.point) {
        const int *lines = of_x ? x_lines[row] : dy_lines[row];
        lines_pair from;
        for (int i = 0; i < 2; i++) {
            /* Behind the last strip are zeros. */
            int64_t next = strips[i] >= j->made ? line_size(&j->s) : 0;
            from.one[i] = strips[i] + lines[0] * next;
            from.two[i] = strips[i] + lines[1] * next;
        }
        transform_row(of_x, row, &from, wide, at);
    }
}

/* The channels [from, end) of a chunk, whose lines are made. */
static void transform_lines(const job *j, int of_x, const pictures *p, const chunk *k, int64_t from, int64_t end,
                            target at) {
    int64_t first = line_of(j, p, k->strip);
    for (int64_t i = 0; i < k->high; i++, at.to += k->wide * at.column) {
        for (int64_t c = from; c < end; c += BLOCK) {
            const uint16_t *strips[2];
            for (int64_t b = 0; b < 2; b++) {
                int64_t strip = k->strip + 2 * i + b;
                const uint16_t *to = j->zeros;
                if (strip < j->s.strips) to = j->made + (line_of(j, p, strip) - first) * line_size(&j->s);
                strips[b] = to + c / BLOCK * block_size(&j->s);
            }
            transform_block(j, of_x, strips, k->wide, (target){at.to + c - from, at.point, at.column});
        }
    }
}

static pictures pictures_of_x(const job *j) {
    const ist_window *w = j->window;
    return (pictures){j->x, w->in, j->ldx, j->in, w->padding[1], w->padding[2], 2 * j->s.tiles.high + 2,
                      j->norm.mean ? &j->norm : NULL};
}

/* One part of a block's channels. */
static void transform_x_plane(const job *j, const chunk *k, int64_t sub, int64_t depth, uint32_t *to) {
    pictures p = pictures_of_x(j);
    if (sub == 0) fill_lines(j, &p, k, depth);
    transform_lines(j, 1, &p, k, sub * j->s.sub, min64((sub + 1) * j->s.sub, j->in),
                    (target){to, j->s.pairs * j->s.ldv, j->s.ldv});
}

static pictures pictures_of_dy(const job *j) {
    return (pictures){j->dy, j->window->out, j->lddy, j->out, 0, 0, 2 * j->s.tiles.high, NULL};
}

static void transform_dy_plane(const job *j, const chunk *k, int64_t depth, uint32_t *to) {
    pictures p = pictures_of_dy(j);
    fill_lines(j, &p, k, depth);
    transform_lines(j, 0, &p, k, 0, j->out, (target){to, j->s.pairs * j->s.ldd, j->s.ldd});
}

/* ---- What comes next is fetched while this is multiplied ---- */

/* Planes of x and of dy, from the first on that is not in the caches. */
typedef struct next {
    pictures x, dy;
    ahead of_x, of_dy;
} next;

/* The planes [depth, last) of a chunk; above: whether its first lines were read with the chunk before it. */
static ahead planes_ahead(const job *j, const pictures *p, const chunk *k, int above, int64_t depth, int64_t last) {
    const cut *s = &j->s;
    int64_t beside = p->lines - 2 * s->tiles.high, first = line_of(j, p, k->strip) + (above ? beside : 0);
    int64_t times = s->lines * 4 * s->taps * s->subs * s->bands * s->panels;
    return ahead_of(first, end_of(j, p, k), depth, last, columns_of(k, beside), times);
}

/* What comes after planes [from, to) of dy, for which x is there up to `last`: more of the chunk, or another chunk. */
static next next_of(const job *j, int64_t number, int64_t to, int64_t last) {
    const cut *s = &j->s;
    const ist_window *w = j->window;
    int more = to < w->out[0];
    chunk k = chunk_of(s, more ? number : number + 1);
    next n = {.x = pictures_of_x(j), .dy = pictures_of_dy(j)};
    if (k.strip >= s->strips) return n;
    int64_t from = more ? to : 0, end = min64(from + s->planes, w->out[0]);
    int64_t ends = min64(end - 1 - w->padding[0] + s->taps, w->in[0]);
    int above = !more && s->segments == 1 && w->in[0] == 1 && k.strip % s->tiles.high > 0;
    n.of_x = planes_ahead(j, &n.x, &k, above, more ? last : 0, ends);
    n.of_dy = planes_ahead(j, &n.dy, &k, 0, from, end);
    return n;
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
static void multiply_point(const job *j, const run *runs, int64_t count, int64_t pairs, float *sums, next *n) {
    const cut *s = &j->s;
    run at[PAIRS];
    for (int64_t b = 0; b < s->bands; b++) {
        int64_t left = s->sub - b * s->rows, rows = left < LEAST_ROWS ? LEAST_ROWS : min64(s->rows, left);
        for (int64_t p = 0; p < s->panels; p++, sums += s->rows * BLOCK) {
            for (int64_t i = 0; i < count; i++) at[i] = (run){runs[i].v + b * s->rows, runs[i].d + p * BLOCK};
            fetch_due(&n->x, &n->of_x);
            fetch_due(&n->dy, &n->of_dy);
            multipliers[rows - LEAST_ROWS](at, count, pairs, s->ldv, s->ldd, sums);
        }
    }
}

/* Where a plane of x, and plane number i of a chunk's dy, are transformed to. */
static uint32_t *slot_of(const job *j, int64_t depth) {
    return j->v + depth % j->s.slots * j->s.lines * 4 * j->s.pairs * j->s.ldv;
}
static uint32_t *dy_slot_of(const job *j, int64_t i) { return j->d + i * j->s.lines * 4 * j->s.pairs * j->s.ldd; }

/* A row of points of one part of a block, planes [from, to) of dy, `pairs` pairs of tiles. */
static void multiply_row(const job *j, int64_t row, int64_t sub, int64_t from, int64_t to, int64_t pairs,
                         next *n) {
    const cut *s = &j->s;
    run runs[PAIRS];
    float *sums = j->sums + (row - j->first) * row_size(s) + sub * sub_size(s);
    for (int64_t tap = 0; tap < s->taps; tap++)
        for (int64_t point = 0; point < 4; point++, sums += point_size(s)) {
            int64_t count = 0;
            for (int64_t o = from; o < to; o++) {
                int64_t i = o + tap - j->window->padding[0];
                if (i < 0 || i >= j->window->in[0]) continue;
                int64_t at = ((row - j->first) * 4 + point) * s->pairs;
                runs[count++] = (run){slot_of(j, i) + at * s->ldv, dy_slot_of(j, o - from) + at * s->ldd};
            }
            if (count > 0) multiply_point(j, runs, count, pairs, sums, n);
        }
}

/* Planes [from, to) of dy and a chunk of tiles. done: x is transformed up to this plane; returns up to which it is then. */
static int64_t work_planes(const job *j, int64_t number, int64_t from, int64_t to, int64_t done) {
    const ist_window *w = j->window;
    chunk k = chunk_of(&j->s, number);
    int64_t first = from - w->padding[0], last = min64(to - 1 - w->padding[0] + j->s.taps, w->in[0]);
    if (done < first) done = first;
    next then = next_of(j, number, to, done > last ? done : last);
    for (int64_t o = from; o < to; o++) transform_dy_plane(j, &k, o, dy_slot_of(j, o - from));
    for (int64_t sub = 0; sub < j->s.subs; sub++) {
        for (int64_t depth = done; depth < last; depth++) transform_x_plane(j, &k, sub, depth, slot_of(j, depth));
        for (int64_t row = j->first; row < j->first + j->s.lines; row++)
            multiply_row(j, row, sub, from, to, k.high * k.wide, &then);
    }
    return done > last ? done : last;
}

/* A chunk of tiles at a time, through all depths: what lies under several taps is transformed once. */
static void work(const job *j) {
    const cut *s = &j->s;
    memset(j->sums, 0, (size_t)(s->lines * row_size(s)) * 4);
    memset(j->zeros, 0, (size_t)line_size(s) * 2);
    for (int64_t number = j->part * s->chunks; number < min64((j->part + 1) * s->chunks, s->all); number++) {
        int64_t depth = j->window->out[0], done = 0;
        for (int64_t from = 0; from < depth; from += s->planes)
            done = work_planes(j, number, from, min64(from + s->planes, depth), done);
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

/* One band of a part of the block by LANES output channels from `first` on: dw [out_channels, channels, kernel] from the
 * block's first weight on. */
static void write_band(const job *j, int64_t sub, int64_t band, int64_t first, float *dw) {
    const cut *s = &j->s;
    int64_t each = s->taps * 9, ld = j->window->channels * each;
    int64_t channel = sub * s->sub + band * s->rows, end = min64((sub + 1) * s->sub, j->in);
    int64_t count = min64(s->rows, end - channel) * each;
    lanes part[ROWS * MOST_TAPS * 9 + LANES];
    const float *sums = j->sums + sub * sub_size(s);
    sums += (band * s->panels + first / BLOCK) * s->rows * BLOCK + first % BLOCK;
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t tap = 0; tap < s->taps; tap++)
            taps_of(s, sums + r * BLOCK + tap * 4 * point_size(s), part + r * each + tap * 9);
    float *to = dw + first * ld + channel * each;
    for (int64_t i = 0; i < count; i += LANES)
        transpose((__m512 *)(part + i), to + i, ld, (__mmask16)(count - i >= LANES ? 0xffff : (1 << (count - i)) - 1));
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
    if (j.norm.mean) j.norm = (norm_input){j.norm.mean + in, j.norm.factor + in, j.norm.beta + in, j.norm.relu};
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
        j.v += omp_get_thread_num() * thread_size(s);
        j.d = j.v + v_size(s);
        j.zeros = (uint16_t *)(j.d + d_size(s));
        j.made = j.zeros + line_size(s);
        work(&j);
    }
}

static void write_blocks(const job *all, int64_t from, int64_t to, float *dw) {
    const cut *s = &all->s;
    int64_t across = s->out / LANES, each = s->subs * s->bands * across, taps = s->taps * 9;
    PRAGMA(omp for)
    for (int64_t item = from * each; item < to * each; item++) {
        int64_t block = item / each, band = item % each / across, first = item % across * LANES;
        int64_t sub = band / s->bands;
        int64_t in = block % s->in_blocks * s->in, out = block / s->in_blocks * s->out;
        job j = job_of(all, from, block, 0, 0);
        band %= s->bands;
        if (sub * s->sub + band * s->rows < min64(j.in, (sub + 1) * s->sub) && first < j.out)
            write_band(&j, sub, band, first, dw + (out * all->window->channels + in) * taps);
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
    norm_input of = {0};
    if (norm) of = norm_input_of(norm, window->channels, scratch);
    float *sums = (float *)scratch + norm_size(window);
    job all = {window, s, of, x, dy, ldx, lddy, 0, 0, 0, 0, (uint32_t *)(sums + sums_size(&s)), NULL, NULL, NULL, sums};
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
