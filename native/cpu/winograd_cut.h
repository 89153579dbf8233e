/* How a weight gradient by Winograd's algorithm is cut: which part of it a thread takes, and what that needs of memory. */
#ifndef IST_WINOGRAD_CUT_H
#define IST_WINOGRAD_CUT_H

#include "winograd.h"

/* Taps of depth. */
#define MOST_TAPS 7

/* Channels of a band: ROWS x 2 sums, one pair of x and 2 vectors of dy fill the registers. */
#define LEAST_ROWS 8
#define ROWS 14

/* Pairs of tiles that are transformed before they are multiplied: sums come from the second cache once for so many. */
#define PAIRS 56

/* Channels of a block that are transformed and multiplied before the next are, if that costs nothing else. */
#define SUB 32

/* Pairs of tiles that are multiplied while half of the channels of another pair are transformed, which the multipliers then
 * hardly notice. All points' and bands' pairs are enough for all that is to be transformed. */
#define EVERY 7

#define LANES 16

/* Most sums of one row of points. They need not lie in the second cache: they come in order, and few of x and dy are read
 * twice. */
#define SUMS (4 * 256 * 256)

/* A thread takes several rows of points where their sums are no more than this, and fit in the second cache as well: x and
 * dy are read less often. Where all four rows' are, the tiles come in parts that threads share: each has its own sums, which
 * pays if it has many chunks. */
#define FEW (16 * 64 * 128)
#define PARTS 8
#define CHUNKS 16

/* How a gradient is cut. A plane is what all pictures have at one depth; a strip is a line of tiles of a plane, and two are
 * taken together. */
typedef struct cut {
    tiling tiles;
    int64_t taps;                     /* of depth */
    int64_t strips;                   /* of a plane */
    int64_t wide, high, segments;     /* of a chunk: columns of tiles, pairs of strips; chunks side by side */
    int64_t parts, chunks, all;       /* parts of a plane, chunks of a part and of a plane */
    int64_t pairs, planes, slots;     /* of a chunk: pairs of tiles, planes of dy, planes of x */
    int64_t in, out;                  /* channels of a block */
    int64_t in_blocks, out_blocks;
    int flat;                         /* one plane, one tap: rows of points are transformed while others are multiplied */
    int64_t sub, subs;                /* channels of a part of a block that are in work together; parts of a block */
    int64_t lines;                    /* rows of points that a thread takes */
    int64_t group;                    /* blocks whose sums are in memory together */
    int64_t rows, bands, panels;      /* such a part's sums: bands of `rows` channels by panels of BLOCK output channels */
    int64_t ldv, ldd;                 /* from one transformed pair of tiles to the next */
} cut;

static int64_t over(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t whole(int64_t a, int64_t b) { return over(a, b) * b; }

/* Not in steps of 512 bytes, which share a few places of the first cache. */
static int64_t apart(int64_t n) { return n % 128 ? n : n + 16; }

/* The height of bands that pads the last one little and reads dy rarely. */
static int64_t rows_of(int64_t channels) {
    int64_t best = LEAST_ROWS;
    for (int64_t r = LEAST_ROWS; r <= ROWS; r++)
        if (over(channels, r) * (2 * r + 1) <= over(channels, best) * (2 * best + 1)) best = r;
    return best;
}

static void cut_tiles(cut *s, const ist_window *w) {
    s->tiles = tiling_of(w);
    s->taps = w->kernel[0];
    s->strips = w->batch * s->tiles.high;
    int64_t strips = over(s->strips, 2);
    s->segments = s->tiles.wide ? over(s->tiles.wide, PAIRS) : 1;
    s->wide = s->tiles.wide ? over(s->tiles.wide, s->segments) : 1;
    int64_t rows = over(strips, PAIRS / s->wide); /* of chunks */
    int few = 16 * s->taps * w->channels * w->out_channels <= FEW;
    s->parts = 1;
    while (few && s->parts < PARTS && rows * s->segments >= (s->parts > 1 ? CHUNKS : 4) * s->parts) s->parts *= 2;
    if (rows > s->parts) rows = whole(rows, s->parts);
    s->high = rows ? over(strips, rows) : 1;
    s->all = over(strips, s->high) * s->segments;
    s->chunks = over(s->all, s->parts);
    s->pairs = s->high * s->wide;
    s->planes = min64(w->out[0], PAIRS / s->pairs);
    s->slots = s->planes + s->taps - 1;
}

/* How many pieces of work there are, if a thread takes so many rows of points. */
static int64_t pieces(const cut *s, int64_t lines) { return 4 / lines * s->parts * s->in_blocks * s->out_blocks; }

/* Blocks are halved until the sums of a row fit and there is work for all threads. */
static void cut_channels(cut *s, const ist_window *w, int64_t threads) {
    s->in = w->channels;
    s->out = w->out_channels;
    for (;;) {
        s->in_blocks = over(w->channels, s->in);
        s->out_blocks = over(w->out_channels, s->out);
        int fit = 4 * s->taps * s->in * s->out <= SUMS;
        int least = s->in <= BLOCK && s->out <= BLOCK;
        if (least || (fit && pieces(s, 1) >= threads)) break;
        int64_t *larger = s->in > s->out ? &s->in : &s->out;
        *larger = whole(over(*larger, 2), BLOCK);
    }
    s->lines = 4;
    while (s->lines > 1 && (4 * s->lines * s->taps * s->in * s->out > FEW || pieces(s, s->lines) < threads)) s->lines /= 2;
    s->group = min64(s->in_blocks * s->out_blocks, over(threads, 4 / s->lines * s->parts));
    s->flat = w->in[0] == 1 && w->out[0] == 1 && s->taps == 1;
    /* Lines lie there for all of a block's channels, but only of one plane. */
    s->subs = s->flat ? over(s->in, SUB) : 1;
    s->sub = whole(over(s->in, s->subs), BLOCK);
    s->subs = over(s->in, s->sub);
    s->rows = s->flat ? LEAST_ROWS : rows_of(s->sub);
    s->bands = over(s->sub, s->rows);
    s->panels = s->out / BLOCK;
    s->ldv = apart(whole(s->rows * s->bands, 16));
    s->ldd = apart(s->out);
}

static cut cut_of(const ist_window *w, int64_t threads) {
    cut s;
    cut_tiles(&s, w);
    cut_channels(&s, w, threads);
    return s;
}

/* Elements of four bytes: of a norm's numbers, of the sums of one point, of a part of a block, of a row of points, of all, and
 * of what one thread transforms. */
static int64_t norm_size(const ist_window *w) { return w->channels; }
static int64_t point_size(const cut *s) { return s->bands * s->panels * s->rows * BLOCK; }
static int64_t sub_size(const cut *s) { return s->taps * 4 * point_size(s); }
static int64_t row_size(const cut *s) { return s->subs * sub_size(s); }
static int64_t sums_size(const cut *s) { return s->parts * s->group * 4 * row_size(s); }
static int64_t v_size(const cut *s) { return (s->flat ? 2 : s->slots * s->lines) * 4 * s->pairs * s->ldv; }
static int64_t d_size(const cut *s) { return s->planes * s->lines * 4 * s->pairs * s->ldd; }

/* Elements of two bytes: of a line's block of channels (an odd number of columns, so that lines do not share a few places of
 * the first cache), of a line, of a strip's lines of zeros, and of these and all that a chunk reads. */
static int64_t block_size(const cut *s) { return (2 * s->wide + 3) * BLOCK; }
static int64_t line_size(const cut *s) { return block_size(s) * s->in / BLOCK; }
static int64_t zeros_size(const cut *s) { return 4 * line_size(s); }
static int64_t lines_size(const cut *s) {
    int64_t pictures = s->tiles.high ? 2 * s->high / s->tiles.high + 2 : 1;
    return zeros_size(s) + (4 * s->high + 2 * pictures) * line_size(s);
}

static int64_t thread_bytes(const cut *s) { return room_bytes(4 * (v_size(s) + d_size(s)) + 2 * lines_size(s)); }

static int64_t scratch_bytes(const ist_window *w, int64_t threads) {
    cut s = cut_of(w, threads);
    return 4 * (norm_size(w) + sums_size(&s)) + threads * thread_bytes(&s);
}

#endif
