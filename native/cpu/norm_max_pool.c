/*
 * The largest of 3x3 positions, two apart, of a value that is normalised, goes through ReLU and is nowhere in memory, and its
 * gradient back through the norm: one pass over what is large each, in bf16.
 *
 * After ReLU numbers are not negative, and their bf16 words compare as integers do.
 */
#include "norm_pool.h"

enum { KERNEL_EDGE = 3 };

static int norm_max_pool_check(const char *call, const ist_window *w, const ist_norm *norm) {
    int status = norm_pool_channels(call, w, norm);
    if (status) return status;
    if (norm->activation != IST_RELU) return ist_fail(IST_INVALID_ARGUMENT, "%s: this is for norms with ReLU", call);
    for (int d = 0; d < 3; d++) {
        int64_t edge = d == 0 ? 1 : KERNEL_EDGE, stride = d == 0 ? 1 : 2;
        if (w->kernel[d] != edge || w->stride[d] != stride || w->padding[d] != edge / 2 || w->dilation[d] != 1 ||
            w->in[d] != stride * w->out[d])
            return ist_fail(IST_INVALID_ARGUMENT, "%s: axis %d: kernel %lld, stride %lld, padding %lld, %lld to %lld; this "
                            "is for windows of 3 x 3, two apart, on planes of even edges", call, d,
                            (long long)w->kernel[d], (long long)w->stride[d], (long long)w->padding[d],
                            (long long)w->in[d], (long long)w->out[d]);
    }
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* ---- Forward: the largest of three columns in every line, then of three lines. ---- */

/* The largest of some positions of BLOCK channels so far, and which it was; of equals the first. */
typedef struct found {
    __m512i best, which;
} found;

INLINE found larger(found a, __m512i best, __m512i which) {
    __mmask32 wins = _mm512_cmpgt_epi16_mask(best, a.best);
    return (found){_mm512_mask_mov_epi16(a.best, wins, best), _mm512_mask_mov_epi16(a.which, wins, which)};
}

/* The words that would have been stored, but for the sign of a zero or a NaN: a NaN is larger than all, and stays. */
INLINE __m512i normal_words(const uint16_t *x, norm_lanes low, norm_lanes high) {
    __m512 a = (__m512)norm_of(widen(x), low, 1), b = (__m512)norm_of(widen(x + 16), high, 1);
    return _mm512_and_si512((__m512i)_mm512_cvtne2ps_pbh(b, a), _mm512_set1_epi16(0x7fff));
}

/* What was found in a line of x: words of [out, c], of the values and of the columns. */
typedef struct found_line {
    uint16_t *best, *which;
} found_line;

INLINE void put_found(found_line to, int64_t i, found f) {
    _mm512_storeu_si512(to.best + i, f.best);
    _mm512_storeu_si512(to.which + i, f.which);
}

INLINE found found_at(found_line from, int64_t i) {
    return (found){_mm512_loadu_si512(from.best + i), _mm512_loadu_si512(from.which + i)};
}

static void find_line(const ist_window *w, const uint16_t *x, int64_t ldx, const norm_input *n, found_line to) {
    int64_t c = w->channels;
    for (int64_t j = 0; j < c; j += BLOCK) {
        norm_lanes low = norm_lanes_at(n, j), high = norm_lanes_at(n, j + 16);
        /* What lies beside the picture never wins. */
        __m512i left = _mm512_set1_epi16(-1);
        for (int64_t o = 0; o < w->out[2]; o++) {
            const uint16_t *at = x + 2 * o * ldx + j;
            found f = {left, _mm512_setzero_si512()};
            f = larger(f, normal_words(at, low, high), _mm512_set1_epi16(1));
            left = normal_words(at + ldx, low, high);
            put_found(to, o * c + j, larger(f, left, _mm512_set1_epi16(2)));
        }
    }
}

static void find_nothing(const ist_window *w, found_line to) {
    memset(to.best, 0xff, (size_t)(w->out[2] * w->channels) * 2);
    memset(to.which, 0, (size_t)(w->out[2] * w->channels) * 2);
}

/* BLOCK channels of a line of results from three lines of x, of which they are the i-th words. */
INLINE void join_block(const found_line from[KERNEL_EDGE], int64_t i, uint16_t *y, uint8_t *position) {
    found f = found_at(from[0], i);
    UNROLL for (int row = 1; row < KERNEL_EDGE; row++) {
        found next = found_at(from[row], i);
        f = larger(f, next.best, _mm512_add_epi16(next.which, _mm512_set1_epi16((int16_t)(KERNEL_EDGE * row))));
    }
    _mm512_storeu_si512(y, f.best);
    if (position) _mm256_storeu_si256((__m256i *)position, _mm512_cvtepi16_epi8(f.which));
}

static void join_lines(const ist_window *w, const found_line from[KERNEL_EDGE], uint16_t *y, int64_t ldy,
                       uint8_t *position) {
    int64_t c = w->channels;
    for (int64_t o = 0; o < w->out[2]; o++)
        for (int64_t j = 0; j < c; j += BLOCK)
            join_block(from, o * c + j, y + o * ldy + j, position ? position + o * c + j : NULL);
}

/* The lines of results [from, to). room: words [KERNEL_EDGE, 2, out, c]. */
static void find_lines(const ist_window *w, const uint16_t *x, int64_t ldx, const norm_input *n, uint16_t *y, int64_t ldy,
                       uint8_t *position, uint16_t *room, int64_t from, int64_t to) {
    int64_t count = w->out[2] * w->channels, ld = w->in[2] * ldx;
    found_line lines[KERNEL_EDGE];
    for (int i = 0; i < KERNEL_EDGE; i++) lines[i] = (found_line){room + 2 * i * count, room + (2 * i + 1) * count};
    for (int64_t i = from; i < to; i++) {
        /* The line above this window was the last of the one before. */
        found_line above = lines[2];
        lines[2] = lines[0];
        lines[0] = above;
        if (i % w->out[1] == 0) find_nothing(w, lines[0]);
        else if (i == from) find_line(w, x + (2 * i - 1) * ld, ldx, n, lines[0]);
        find_line(w, x + 2 * i * ld, ldx, n, lines[1]);
        find_line(w, x + (2 * i + 1) * ld, ldx, n, lines[2]);
        join_lines(w, lines, y + i * w->out[2] * ldy, ldy, position ? position + i * count : NULL);
    }
}

/* ---- Backward: a line of x is under one line of windows or two. ---- */

/* A line of windows that lies over a line of x; tap: of the row's first column. */
typedef struct over {
    const uint16_t *dy;
    const uint8_t *position;
    int tap;
} over;

/* Adds what flows to 16 channels of x from one column of windows, if it was the largest there. */
INLINE lanes add_flow(lanes to, const over *o, int64_t at, int tap) {
    __m128i position = _mm_loadu_si128((const __m128i *)(o->position + at));
    __mmask16 won = _mm_cmpeq_epi8_mask(position, _mm_set1_epi8((char)(o->tap + tap)));
    return (lanes)_mm512_mask_add_ps((__m512)to, won, (__m512)to, (__m512)widen(o->dy + at));
}

/* What flows to 16 channels of two neighbours in a line of x: one is under one column of windows, one under two. */
INLINE void flow(const over *lines, int rows, int64_t at, int64_t next, lanes to[2]) {
    to[0] = to[1] = (lanes){0};
    UNROLL for (int r = 0; r < rows; r++) {
        to[0] = add_flow(to[0], lines + r, at, 1);
        to[1] = add_flow(to[1], lines + r, at, 2);
        if (next) to[1] = add_flow(to[1], lines + r, next, 0);
    }
}

INLINE void gradient_line(const ist_window *w, const back *b, int adds, const over *lines, int rows, int64_t first) {
    int64_t c = w->channels;
    for (int64_t j = 0; j < c; j += BLOCK) {
        norm_lanes numbers[2] = {norm_lanes_at(&b->norm, j), norm_lanes_at(&b->norm, j + 16)};
        lanes sum[2], product[2];
        UNROLL for (int h = 0; h < 2; h++) {
            sum[h] = lanes_at(b->sum + j + 16 * h);
            product[h] = lanes_at(b->product + j + 16 * h);
        }
        for (int64_t o = 0; o < w->out[2]; o++) {
            int64_t at = o * c + j, next = o + 1 < w->out[2] ? at + c : 0;
            lanes d[2][2];
            UNROLL for (int h = 0; h < 2; h++) {
                flow(lines, rows, at + 16 * h, next ? next + 16 * h : 0, d[h]);
                UNROLL for (int i = 0; i < 2; i++)
                    d[h][i] = back_lanes(b, 1, adds, numbers[h], first + 2 * o + i, d[h][i], j + 16 * h, &sum[h], &product[h]);
            }
            UNROLL for (int i = 0; i < 2; i++) put_block(b, first + 2 * o + i, j, d[0][i], d[1][i]);
        }
        UNROLL for (int h = 0; h < 2; h++) {
            _mm512_storeu_ps(b->sum + j + 16 * h, (__m512)sum[h]);
            _mm512_storeu_ps(b->product + j + 16 * h, (__m512)product[h]);
        }
    }
}

static over over_at(const ist_window *w, const back *b, int64_t line, int row) {
    int64_t at = line * w->out[2] * w->channels;
    return (over){b->dy + at, b->position + at, KERNEL_EDGE * row};
}

static void gradient_as(const ist_window *w, const back *b, int64_t line) {
    int64_t above = line / 2;
    over lines[2] = {over_at(w, b, above, line % 2 ? 2 : 1)};
    int rows = 1;
    if (line % 2 && (above + 1) % w->out[1]) lines[rows++] = over_at(w, b, above + 1, 0);
    int64_t first = line * w->in[2];
    if (b->g->add) gradient_line(w, b, 1, lines, rows, first);
    else if (rows == 1) gradient_line(w, b, 0, lines, 1, first);
    else gradient_line(w, b, 0, lines, 2, first);
}
#endif

int KERNEL(norm_max_pool)(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, void *y,
                          int64_t ldy, uint8_t *position) {
    int status = norm_max_pool_check(__func__, window, norm);
    if (status) return status;
    REQUIRE(min64(ldx, ldy) >= window->channels, "%s: positions are %lld and %lld apart but have %lld channels", __func__,
            (long long)ldx, (long long)ldy, (long long)window->channels);
#if defined(__AVX512BF16__)
    int64_t c = window->channels, lines = room_bytes(2 * 2 * KERNEL_EDGE * window->out[2] * c);
    float *factors = malloc((size_t)c * sizeof(float) + (size_t)(omp_get_max_threads() * lines));
    if (!factors) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for the lines", __func__);
    norm_input n = norm_input_of(norm, c, factors);
    int64_t count = window->batch * window->out[0] * window->out[1];
    PARALLEL(count * window->in[2] * c, count, 1,
             find_lines(window, x, ldx, &n, y, ldy, position, (uint16_t *)room_in(factors + c, lines), from, to));
    free(factors);
#else
    (void)x, (void)y, (void)position;
#endif
    return IST_OK;
}

int KERNEL(norm_max_pool_backward)(const ist_window *window, const void *dy, const uint8_t *position, void *dx,
                                   int64_t lddx, const ist_norm_gradient *g) {
    int status = norm_max_pool_check(__func__, window, &g->norm);
    if (!status) status = norm_pool_rows(__func__, window, lddx, g);
    if (status) return status;
#if defined(__AVX512BF16__)
    int64_t lines = window->batch * window->in[0] * window->in[1];
    return norm_pool_backward(__func__, window, g, dy, position, dx, lddx, lines, gradient_as);
#else
    (void)dy, (void)position, (void)dx;
    return IST_OK;
#endif
}
