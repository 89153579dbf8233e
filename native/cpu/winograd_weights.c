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
#include "winograd_products.h"

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

/* Where turn number t's row of points is transformed to: there are two places, as the next is transformed meanwhile. */
static uint32_t *turn_of(const job *j, int64_t t) { return j->v + t % 2 * 4 * j->s.pairs * j->s.ldv; }

/* A turn: a row of points of a part of the block; its tiles are transformed, and its next tiles meanwhile. */
static void multiply_turn(const job *j, int64_t t, int64_t pairs, meanwhile *m) {
    const cut *s = &j->s;
    int64_t row = t % s->lines;
    float *sums = j->sums + row * row_size(s) + t / s->lines * sub_size(s);
    other_multiplier *multiply_other = m->row == 1 ? multiply_adding : multiply_subtracting;
    for (int64_t point = 0; point < 4; point++) {
        const uint32_t *v = turn_of(j, t) + point * s->pairs * s->ldv;
        const uint32_t *d = j->d + (row * 4 + point) * s->pairs * s->ldd;
        for (int64_t b = 0; b < s->bands; b++)
            for (int64_t p = 0; p < s->panels; p++, sums += s->rows * BLOCK)
                multiply_other((run){v + b * s->rows, d + p * BLOCK}, pairs, s->ldv, s->ldd, sums, m);
    }
}

/* A chunk of tiles that are one plane under one tap: each row of points of each part of the block in turn. */
static void work_flat(const job *j, int64_t number) {
    const cut *s = &j->s;
    chunk k = chunk_of(s, number);
    pictures x = pictures_of_x(j);
    const uint16_t *strips[2 * PAIRS];
    transform_dy_plane(j, &k, 0, j->d);
    fill_lines(j, &x, &k, 0);
    for (int64_t i = 0; i < 2 * k.high; i++) strips[i] = strip_at(j, &x, &k, i);
    meanwhile m = {.ahead = next_of(j, number, 1, 1), .line = line_size(s), .wide = k.wide};
    int64_t turns = over(j->in, s->sub) * s->lines, pairs = k.high * k.wide, each = m.ahead.of_dy.each;
    for (int64_t t = 0; t <= turns; t++) {
        if (t < turns) {
            m.strips = strips;
            m.channels = t / s->lines * block_size(s);
            m.row = j->first + t % s->lines;
            m.at = (target){turn_of(j, t), s->pairs * s->ldv, s->ldv};
            m.left = pairs;
            next_strips(&m);
        }
        /* Where dy's pixels lie far apart they share few places of the second cache: fetched early they would not stay. */
        m.ahead.of_dy.each = 2 * t > turns ? 2 * each : 0;
        if (t > 0) multiply_turn(j, t - 1, pairs, &m);
        else transform_alone(&m);
    }
}

/* A chunk of tiles at a time, through all depths: what lies under several taps is transformed once. */
static void work(const job *j) {
    const cut *s = &j->s;
    memset(j->sums, 0, (size_t)(s->lines * row_size(s)) * 4);
    memset(j->zeros, 0, (size_t)zeros_size(s) * 2);
    for (int64_t number = j->part * s->chunks; number < min64((j->part + 1) * s->chunks, s->all); number++) {
        if (s->flat) {
            work_flat(j, number);
            continue;
        }
        int64_t depth = j->window->out[0], done = 0;
        for (int64_t from = 0; from < depth; from += s->planes)
            done = work_planes(j, number, from, min64(from + s->planes, depth), done);
    }
}

/* ---- The result ---- */

/* The parts' sums of a band by a panel, under one tap, added up: [row, point, rows, BLOCK]. They lie far apart and are in no
 * cache that is near: a kilobyte of each at a time is foreseen. */
static void add_parts(const cut *s, const float *sums, float *to) {
    for (int64_t i = 0; i < 16; i++)
        for (int64_t k = 0; k < s->rows * BLOCK; k += LANES, to += LANES) {
            const float *at = sums + i / 4 * row_size(s) + i % 4 * point_size(s) + k;
            lanes sum = lanes_at(at);
            for (int64_t n = 1; n < s->parts; n++) sum += lanes_at(at + n * s->group * 4 * row_size(s));
            _mm512_storeu_ps(to, (__m512)sum);
        }
}

/* G'u G of LANES output channels: the sums of the sixteen points, which are `next` apart -> [9, LANES]. */
INLINE void taps_of(const float *sums, int64_t next, lanes *to) {
    lanes u[4], half[4][3];
    for (int i = 0; i < 4; i++) {
        for (int p = 0; p < 4; p++) u[p] = lanes_at(sums + (4 * i + p) * next);
        times_g(u, 1, half[i], 1);
    }
    for (int i = 0; i < 3; i++) times_g(&half[0][i], 3, to + i, 3);
}

/* One band of a part of the block by one panel: dw [out_channels, channels, kernel] from the block's first weight on. */
static void write_band(const job *j, int64_t sub, int64_t band, int64_t panel, float *dw) {
    const cut *s = &j->s;
    int64_t each = s->taps * 9, ld = j->window->channels * each;
    int64_t channel = sub * s->sub + band * s->rows, end = min64((sub + 1) * s->sub, j->in);
    int64_t count = min64(s->rows, end - channel) * each;
    lanes part[2][ROWS * MOST_TAPS * 9 + LANES];
    float sums[16 * ROWS * BLOCK];
    for (int64_t tap = 0; tap < s->taps; tap++) {
        int64_t at = tap * 4 * point_size(s) + (band * s->panels + panel) * s->rows * BLOCK;
        add_parts(s, j->sums + sub * sub_size(s) + at, sums);
        for (int64_t r = 0; r < s->rows; r++)
            for (int i = 0; i < 2; i++)
                taps_of(sums + r * BLOCK + i * LANES, s->rows * BLOCK, part[i] + r * each + tap * 9);
    }
    float *to = dw + panel * BLOCK * ld + channel * each;
    for (int half = 0; half < 2; half++, to += LANES * ld)
        for (int64_t i = 0; i < count; i += LANES) {
            __mmask16 some = (__mmask16)(count - i >= LANES ? 0xffff : (1 << (count - i)) - 1);
            transpose((__m512 *)(part[half] + i), to + i, ld, some);
        }
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
    if (j.owed.x) j.owed = (ist_owed){(const uint16_t *)j.owed.x + out, j.owed.ldx, j.owed.slope + out, j.owed.shift + out};
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
        j.v = (uint32_t *)room_in(j.v, thread_bytes(s));
        j.d = j.v + v_size(s);
        j.zeros = (uint16_t *)(j.d + d_size(s));
        j.made = j.zeros + zeros_size(s);
        work(&j);
    }
}

static void write_blocks(const job *all, int64_t from, int64_t to, float *dw) {
    const cut *s = &all->s;
    int64_t each = s->subs * s->bands * s->panels, taps = s->taps * 9;
    PRAGMA(omp for)
    for (int64_t item = from * each; item < to * each; item++) {
        int64_t block = item / each, band = item % each / s->panels, panel = item % s->panels;
        int64_t sub = band / s->bands;
        int64_t in = block % s->in_blocks * s->in, out = block / s->in_blocks * s->out;
        job j = job_of(all, from, block, 0, 0);
        band %= s->bands;
        if (sub * s->sub + band * s->rows < min64(j.in, (sub + 1) * s->sub) && panel * BLOCK < j.out)
            write_band(&j, sub, band, panel, dw + (out * all->window->channels + in) * taps);
    }
}
#endif

int KERNEL(winograd_weights)(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm,
                             const void *dy, int64_t lddy, const ist_owed *owed, float *dw, void *scratch, int64_t bytes) {
    int status = weights_check(__func__, window);
    if (status == IST_OK) status = norm_check(__func__, norm);
    if (status == IST_OK) status = owed_check(__func__, owed, window->out_channels);
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
    job all = {.window = window, .s = s, .norm = of, .x = x, .dy = dy, .ldx = ldx, .lddy = lddy, .sums = sums,
               .v = (uint32_t *)(sums + sums_size(&s))};
    if (owed) all.owed = *owed;
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
