/*
 * Convolution in bf16 by Winograd's F(2x2,3x3), for processors whose bf16 products are the limit (AVX-512 BF16; with AMX
 * they are not). For each of the 16 points of a transformed tile: tiles x channels times channels x output channels, summed
 * in float32. Tiles are transformed a chunk at a time, which stays in the second cache, and multiplied a group at a time,
 * whose sums stay in the first one until they are transformed and written; or a group is transformed between the
 * products of the one before it (winograd_woven.h).
 *
 * A sum does not depend on how the work is cut, so neither do its bits on the number of threads; those through a norm's
 * backward pass, over pixels, are summed by groups.
 */
#include "measure.h"
#include "winograd_ahead.h"
#include "winograd_column.h"
#include "winograd_taps.h"

/* What a chunk's transformed input may take of the second cache, and the most groups in a chunk. */
#define CHUNK_BYTES (400 << 10)
#define CHUNK_GROUPS 7

/* The most output blocks and pixels for groups transformed beside products. */
#define WOVEN_BLOCKS 4
#define RING_BYTES (256 << 10)

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

/* Whether sums are of few products each, and columns of points are multiplied. */
INLINE int few(const cut *s) { return s->taps * s->in == 1; }

/* Columns of the lines that are made for a chunk. */
static int64_t line_columns(const cut *s, const ist_window *w) { return min64(w->in[2], 2 * s->chunk * TILES + 2); }

/* Whether groups are transformed beside products, if there is a norm: weights are then read anew for every group, and what
 * that gains is shared by all output blocks. */
static int woven(const cut *s, const ist_window *w) {
    return s->taps == 1 && w->in[0] == 1 && w->out[0] == 1 && s->in > 1 && s->out <= WOVEN_BLOCKS &&
           ring_bytes(w, &s->tiles) <= RING_BYTES;
}

/* Bytes of the transformed weights; of the norms' numbers; of sums over pixels, in parts and of all; and of what one thread
 * works in: its planes, its sums and the lines it makes. */
static int64_t weight_bytes(const cut *s) { return 2 * s->out * POINTS * s->taps * s->weights; }
static int64_t norm_bytes(const cut *s) { return 4 * 4 * (s->in + s->out) * BLOCK; }
static int64_t part_bytes(const cut *s, int64_t pieces) { return (4 * pieces + 8) * 2 * s->out * BLOCK; }
/* Elements of a thread's planes: of its taps, or two groups. */
static int64_t plane_words(const cut *s) {
    int64_t two = 2 * s->in * POINTS * POINT, planes = s->taps * s->plane;
    return planes > two ? planes : two;
}
static int64_t thread_bytes(const cut *s, const ist_window *w) {
    int64_t lines = 2 * 4 * line_columns(s, w) * BLOCK, ring = woven(s, w) ? ring_bytes(w, &s->tiles) : 0;
    return room_bytes(2 * plane_words(s) + 4 * POINTS * POINT + (ring > lines ? ring : lines));
}
static int64_t common_bytes(const cut *s, const ist_window *w) {
    return weight_bytes(s) + norm_bytes(s) + part_bytes(s, s->groups * w->out[0]);
}

int KERNEL(winograd_scratch)(const ist_window *window, int64_t threads, int64_t *bytes) {
    int status = winograd_check(__func__, window);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(window);
    *bytes = common_bytes(&s, window) + threads * thread_bytes(&s, window);
    return IST_OK;
}

#if defined(__AVX512BF16__)

/* What one thread reads and where it works. */
typedef struct job {
    const ist_window *window;
    cut s;
    input in;
    output out;
    const float *w;
    int turned;
    uint16_t *u, *planes; /* u [out block, point, tap, channel pair, BLOCK, 2]; or if few, [out block, 4, COLUMN] */
    float *sums;          /* [POINTS, TILES, BLOCK] */
    char *ring;           /* of normalised pixels; NULL if groups are transformed apart from the products */
} job;

/* A block of channels at one tap: its transformed tiles and weights, of the chunk's and of all first ones. */
typedef struct unit {
    const uint16_t *v, *u;
} unit;

/* ---- Weights: u = G g G' of every 3x3 ---- */

/* The pieces [from, to): piece p is one output block and pair of channels. Which are a pair is as write_point has it. */
static void weights_range(const job *j, int64_t from, int64_t to) {
    int64_t c = j->window->channels, k = j->window->out_channels, taps = j->s.taps;
    int64_t across = (j->turned ? 1 : c) * taps * 9, along = (j->turned ? k : 1) * taps * 9;
    int64_t right = few(&j->s) ? COLUMN : taps * j->s.weights, below = few(&j->s) ? 2 * BLOCK : 4 * right;
    for (int64_t p = from; p < to; p++) {
        int64_t block = p / (c / 2), pair = p % (c / 2), in = pair % LANES;
        int64_t channel = pair / LANES * BLOCK + in % 8 * 4 + in / 8;
        for (int64_t tap = 0; tap < taps; tap++) {
            const float *g = j->w + block * BLOCK * across + channel * along + (j->turned ? taps - 1 - tap : tap) * 9;
            uint16_t *u = j->u + (block * POINTS * taps + tap) * j->s.weights;
            u += pair * (few(&j->s) ? COLUMN_PAIR : 2 * BLOCK);
            if (j->turned) transform_pair(1, g, along, across, u, below, right);
            else transform_pair(0, g, along, across, u, below, right);
        }
    }
}

/* ---- The products ---- */

/* A chunk of tiles at a plane of the output: where they are written, what they are products of, and what is read next. */
typedef struct chunk {
    int64_t first, groups, count, z; /* groups, and the tiles in them */
    spot spots[CHUNK_GROUPS * TILES];
    unit *units;
    int64_t many;
    ahead next;
    weave *weave;     /* or NULL, if the next group is not transformed beside these products */
    uint16_t *beside; /* to where it is */
} chunk;

/* Of one group, point and output block: the sum over the units of v times u, so far into each of them. */
static __attribute__((noinline)) void multiply(const unit *units, int64_t count, int64_t v, int64_t u, float *sum) {
    __m512 s[TILES][2];
    UNROLL for (int t = 0; t < TILES; t++) s[t][0] = s[t][1] = _mm512_setzero_ps();
    for (const unit *end = units + count; units < end; units++) {
        const char *row = (const char *)(units->v + v), *column = (const char *)(units->u + u);
        for (const char *last = row + 2 * BLOCK; row < last; row += 4, column += 4 * BLOCK) add_products(s, row, column);
    }
    store_sums(s, sum);
}

/* All points of `count` tiles of group g of a chunk against one output block, in one of the two ways. */
static void all_products(const job *j, chunk *k, int64_t g, int64_t count, int64_t block) {
    const spot *spots = k->spots + g * TILES;
    for (int64_t point = 0; point < POINTS; point++) {
        fetch_ahead(&k->next);
        if (point < count) fetch_output(&j->out, spots + point, block * BLOCK);
        multiply(k->units, k->many, g * j->s.in * POINTS * POINT + point * POINT,
                 (block * POINTS + point) * j->s.taps * j->s.weights, j->sums + point * POINT);
    }
}

/* The same with the next group transformed. */
static void woven_products(const job *j, chunk *k, int64_t count, int64_t block) {
    weave *w = k->weave;
    for (int64_t point = 0; point < POINTS; point++) {
        if (point < count) fetch_output(&j->out, k->spots + point, block * BLOCK);
        multiply_woven(w, point, k->units->v, k->units->u + (block * POINTS + point) * j->s.weights, k->beside,
                       j->sums + point * POINT);
    }
    k->weave = NULL;
}

static void few_products(const job *j, chunk *k, int64_t g, int64_t count, int64_t block) {
    const spot *spot = k->spots + g * TILES, *end = spot + count;
    for (int64_t column = 0; column < 4; column++) {
        const uint16_t *u = j->u + (block * 4 + column) * COLUMN;
        for (int64_t t = 0; t < count; t += PASS) {
            int64_t at = column * POINT + t * BLOCK;
            fetch_ahead(&k->next);
            if (column > 0 && spot < end) fetch_output(&j->out, spot++, block * BLOCK);
            multiply_column(k->units->v + g * POINTS * POINT + at, u, j->sums + at);
        }
    }
}

/* One group against one output block. */
static void work_group(const job *j, chunk *k, int64_t g, int64_t block) {
    int64_t count = min64(TILES, k->count - g * TILES);
    result r = {k->spots + g * TILES, count, block * BLOCK, j->sums};
    int columns = few(&j->s) && k->many;
    float *part = j->out.parts + (k->z * j->s.groups + k->first + g) * 2 * j->window->out_channels;
    if (columns) few_products(j, k, g, count, block);
    else if (k->weave) woven_products(j, k, count, block);
    else all_products(j, k, g, count, block);
    if (j->out.gradient) write_gradient(&j->out, columns, &r, part);
    else if (j->out.measured) write_measured(&j->out, columns, &r, part);
    else write_plain(&j->out, columns, &r);
}

/* ---- Shares ---- */

/* Groups from k->first on, over the output planes [start, end), against the output blocks [block, last). Group by group, as
 * the sums stay in the first cache until they are written then. */
static void work_chunk(const job *j, chunk *k, int64_t start, int64_t end, int64_t block, int64_t last) {
    int64_t taps = j->s.taps, depth = j->window->in[0], pad = j->window->padding[0], done = start - pad;
    int64_t first = k->first * TILES, rest = j->s.tiles.columns - first;
    unit units[taps * j->s.in];
    k->count = min64(k->groups * TILES, rest);
    k->units = units;
    for (k->z = start; k->z < end; k->z++) {
        k->many = 0;
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t plane = k->z - pad + tap;
            if (plane < 0 || plane >= depth) continue;
            uint16_t *to = j->planes + plane % taps * j->s.plane;
            if (plane >= done) transform_plane(&j->in, first, k->count, plane, to);
            for (int64_t c = 0; c < j->s.in; c++)
                units[k->many++] = (unit){to + c * POINTS * POINT, j->u + tap * j->s.weights + c * BLOCK * BLOCK};
        }
        done = k->z - pad + taps;
        find_spots(&j->out, first, k->count, k->z, k->spots);
        k->next = ahead_of(&j->in, first, k->count, k->z, end, min64(j->s.chunk * TILES, rest - k->count),
                           (last - block) * POINTS * k->groups);
        for (int64_t b = block; b < last; b++)
            for (int64_t g = 0; g < k->groups; g++) work_group(j, k, g, b);
    }
}

/* The groups [from, to) against the output blocks [block, last), where planes are one and groups are transformed beside the
 * products of those before them. */
static void work_woven(const job *j, int64_t from, int64_t to, int64_t block, int64_t last) {
    const tiling *tiles = &j->s.tiles;
    int64_t size = j->s.in * POINTS * POINT;
    int64_t end = behind(&j->in, place_of(tiles, min64(to * TILES, tiles->columns) - 1));
    weave w = weave_of(&j->in, j->ring, from * TILES);
    unit units[j->s.in];
    chunk k = {.groups = 1, .units = units, .many = j->s.in};
    transform_group(&w, j->planes + from % 2 * size);
    for (k.first = from; k.first < to; k.first++) {
        int64_t first = k.first * TILES;
        for (int64_t c = 0; c < k.many; c++)
            units[c] = (unit){j->planes + k.first % 2 * size + c * POINTS * POINT, j->u + c * BLOCK * BLOCK};
        k.count = min64(TILES, tiles->columns - first);
        find_spots(&j->out, first, k.count, 0, k.spots);
        if (k.first + 1 < to) {
            turn_to_next(&w, end);
            k.weave = &w;
            k.beside = j->planes + (k.first + 1) % 2 * size;
        }
        for (int64_t b = block; b < last; b++) work_group(j, &k, 0, b);
    }
}

/* The shares [from, to): share s is group s % groups, of run s / groups % runs of the planes and part s / groups / runs of
 * the output blocks. */
static void work(const job *j, int64_t runs, int64_t parts, int64_t from, int64_t to) {
    int64_t depth = j->window->out[0];
    while (from < to) {
        int64_t first = from % j->s.groups, run = from / j->s.groups % runs, part = from / j->s.groups / runs;
        int64_t groups = min64(j->s.groups - first, to - from), block = j->s.out * part / parts;
        int64_t last = j->s.out * (part + 1) / parts;
        chunk k = {.first = first, .groups = min64(j->s.chunk, groups)};
        if (first == 0) *j->in.ready = NOTHING_READY; /* groups begin anew, above lines that are there */
        if (j->ring) work_woven(j, first, first + groups, block, last);
        else work_chunk(j, &k, depth * run / runs, depth * (run + 1) / runs, block, last);
        from += j->ring ? groups : k.groups;
    }
    _mm_sfence();
}

/* How often to cut something that can be cut `most` times, where `have` shares are there and four a thread are wanted. */
INLINE int64_t pieces(int64_t most, int64_t have, int64_t threads) {
    int64_t wanted = (4 * threads + have - 1) / have;
    return wanted > most ? most < 1 ? 1 : most : wanted;
}

static void convolve(const job *all, int64_t threads, double *totals) {
    const cut *s = &all->s;
    const ist_window *w = all->window;
    int64_t runs = pieces(w->out[0] / (4 * s->taps), s->groups, threads);
    int64_t parts = pieces(s->out, s->groups * runs, threads);
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        share(s->out * w->channels / 2, 1, &from, &to);
        weights_range(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        mine.planes = (uint16_t *)room_in(all->planes, thread_bytes(s, w));
        mine.sums = (float *)(mine.planes + plane_words(s));
        char *pixels = (char *)mine.sums + 4 * POINTS * POINT;
        if (woven(s, w) && mine.in.norm.on) mine.ring = pixels;
        else mine.in.lines = (uint16_t *)pixels;
        ready made = NOTHING_READY;
        mine.in.ready = &made;
        share(s->groups * runs * parts, 1, &from, &to);
        work(&mine, runs, parts, from, to);
        if (all->out.gradient || all->out.measured) {
            PRAGMA(omp barrier)
            share(w->out_channels, BLOCK, &from, &to);
            sum_parts(&all->out, s->groups * w->out[0], totals, from, to);
        }
    }
    if (all->out.gradient)
        norm_gradient_owe(all->out.gradient, totals, totals + w->out_channels, w->batch * volume(w->out), w->out_channels);
}

/* scratch: the transformed weights, the norms' numbers, the sums over pixels, then what threads work in. */
static job job_of(const ist_window *w, const cut *s, const ist_norm *norm, const ist_norm_gradient *gradient, char *scratch,
                  double **totals) {
    float *numbers = (float *)(scratch + weight_bytes(s)), *parts = (float *)((char *)numbers + norm_bytes(s));
    *totals = (double *)(parts + s->groups * w->out[0] * 2 * w->out_channels);
    job j = {.window = w, .s = *s, .u = (uint16_t *)scratch, .planes = (uint16_t *)(scratch + common_bytes(s, w))};
    j.in = (input){.window = w, .tiles = s->tiles, .columns = line_columns(s, w)};
    j.in.norm = split_norm_of(norm, w->channels, numbers);
    j.out = (output){.window = w, .tiles = s->tiles, .gradient = gradient, .parts = parts};
    if (gradient) j.out.norm = norm_input_of(&gradient->norm, w->out_channels, numbers + 4 * w->channels);
    return j;
}
#endif

static int arguments_check(const char *call, const ist_window *w, int64_t ldx, const ist_norm *norm, const ist_owed *owed,
                           int64_t ldy, const ist_norm_gradient *g) {
    int status = winograd_check(call, w);
    if (status == IST_OK) status = norm_check(call, norm);
    if (status == IST_OK) status = owed_check(call, owed, w->channels);
    if (status == IST_OK && g) status = norm_check(call, &g->norm);
    if (status) return status;
    int64_t least = g ? min64(ldy, min64(g->ldx, g->add ? g->ldadd : ldy)) : ldy;
    if (least < w->out_channels)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: pixels of %lld channels are %lld apart", call, (long long)w->out_channels,
                        (long long)least);
    if (ldx < w->channels)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: pixels of %lld channels of x are %lld apart", call, (long long)w->channels,
                        (long long)ldx);
    if (norm && owed) return ist_fail(IST_INVALID_ARGUMENT, "%s: what is owed is settled, or it is normalised, not both", call);
    return IST_OK;
}

int KERNEL(winograd)(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, const ist_owed *owed,
                     const float *w, int turned, const float *bias, void *y, int64_t ldy, float *mean, float *variance,
                     const ist_norm_gradient *gradient, void *scratch, int64_t bytes) {
    int status = arguments_check(__func__, window, ldx, norm, owed, ldy, gradient);
    if (status) return status;
    REQUIRE(!mean || !gradient, "%s: statistics of a gradient are not taken", __func__);
    cut s = cut_of(window);
    if (s.groups == 0) return IST_OK;
    int64_t common = common_bytes(&s, window), each = thread_bytes(&s, window);
    int64_t threads = min64((bytes - common) / each, omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(common + each));
#if defined(__AVX512BF16__)
    double *totals;
    job all = job_of(window, &s, norm, gradient, scratch, &totals);
    all.in.x = x;
    all.in.ldx = ldx;
    all.in.owed = owed;
    all.w = w;
    all.turned = turned;
    all.out.bias = bias;
    all.out.y = y;
    all.out.ldy = ldy;
    int64_t size = window->batch * volume(window->out) * window->out_channels;
    all.out.stream = 2 * size >= STREAM_BYTES && (uintptr_t)y % 64 == 0 && ldy % BLOCK == 0 &&
                     !(gradient && gradient->add == y);
    all.out.measured = mean != NULL;
    convolve(&all, threads, totals);
    int64_t k = window->out_channels, rows = window->batch * volume(window->out);
    for (int64_t j = 0; mean && j < k; j++) measure_result(totals[j], totals[k + j], rows, mean + j, variance + j);
#else
    (void)x, (void)w, (void)turned, (void)bias, (void)y, (void)mean, (void)variance, (void)scratch;
#endif
    return IST_OK;
}
