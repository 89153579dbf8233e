/* A chunk of tiles of a weight gradient: what of it lies where, how it is transformed, and what comes after it. */
#ifndef IST_WINOGRAD_CHUNK_H
#define IST_WINOGRAD_CHUNK_H

#include "winograd_pairs.h"

#if defined(__AVX512BF16__)

/* What a thread works on: rows of points from `first` on, of one part of the tiles and one block of channels. */
typedef struct job {
    const ist_window *window;
    cut s;
    norm_input norm;        /* of x; mean NULL: none */
    ist_owed owed;          /* what dy is owed; x NULL: nothing */
    const uint16_t *x, *dy; /* these all from the block's first channel on */
    int64_t ldx, lddy, part, first;
    int64_t in, out;        /* channels of the block: the last ones may have fewer */
    uint32_t *v, *d;        /* transformed: [slot, row, point, pair, ldv] and [plane, row, point, pair, ldd] */
    uint16_t *zeros, *made; /* lines for the transforms: [channel block, column, BLOCK] a strip's of zeros, then a chunk's */
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

/* Where the first line of strip number i of a chunk is made; behind the last strip are zeros. */
static const uint16_t *strip_at(const job *j, const pictures *p, const chunk *k, int64_t i) {
    if (k->strip + i >= j->s.strips) return j->zeros;
    return j->made + (line_of(j, p, k->strip + i) - line_of(j, p, k->strip)) * line_size(&j->s);
}

/* The job's rows of points of a block of channels of two strips, whose first lines begin at `strips`. */
static void transform_block(const job *j, const uint16_t *const strips[2], int64_t wide, target at) {
    for (int64_t row = j->first; row < j->first + j->s.lines; row++, at.to += 4 * at.point) {
        lines_pair from = lines_of(strips, line_size(&j->s), x_lines[row]);
        transform_row(row, &from, wide, at);
    }
}

/* The channels [from, end) of a chunk, whose lines are made. */
static void transform_lines(const job *j, const pictures *p, const chunk *k, int64_t from, int64_t end, target at) {
    for (int64_t i = 0; i < k->high; i++, at.to += k->wide * at.column) {
        const uint16_t *one = strip_at(j, p, k, 2 * i), *two = strip_at(j, p, k, 2 * i + 1);
        for (int64_t c = from; c < end; c += BLOCK) {
            const uint16_t *strips[2] = {one + c / BLOCK * block_size(&j->s), two + c / BLOCK * block_size(&j->s)};
            transform_block(j, strips, k->wide, (target){at.to + c - from, at.point, at.column});
        }
    }
}

static pictures pictures_of_x(const job *j) {
    const ist_window *w = j->window;
    return (pictures){j->x, w->in, j->ldx, j->in, w->padding[1], w->padding[2], 2 * j->s.tiles.high + 2,
                      j->norm.mean ? &j->norm : NULL, NULL};
}

/* One part of a block's channels. */
static void transform_x_plane(const job *j, const chunk *k, int64_t sub, int64_t depth, uint32_t *to) {
    pictures p = pictures_of_x(j);
    if (sub == 0) fill_lines(j, &p, k, depth);
    transform_lines(j, &p, k, sub * j->s.sub, min64((sub + 1) * j->s.sub, j->in),
                    (target){to, j->s.pairs * j->s.ldv, j->s.ldv});
}

static pictures pictures_of_dy(const job *j) {
    return (pictures){j->dy, j->window->out, j->lddy, j->out, 0, 0, 2 * j->s.tiles.high, NULL,
                      j->owed.x ? &j->owed : NULL};
}

/* Where a strip of dy begins in a chunk. Behind the last strip nothing counts, and any pixels will do. */
static dy_strip dy_strip_at(const job *j, const pictures *p, const chunk *k, int64_t strip, int64_t depth) {
    const int64_t *size = p->size, last = j->s.strips - 1, at = min64(strip, last);
    int64_t n = at / j->s.tiles.high, row = at % j->s.tiles.high * 2;
    int64_t pixel = ((n * size[0] + depth) * size[1] + row) * size[2] + 2 * k->column;
    int two = row + 1 < size[1];
    dy_strip s = {.d = p->at + pixel * p->ld, .line = two * size[2] * p->ld};
    if (p->owed) s.owed = (const uint16_t *)p->owed->x + pixel * p->owed->ldx, s.owed_line = two * size[2] * p->owed->ldx;
    if (strip <= last) s.lines[0] = (__mmask32)-1, s.lines[1] = (__mmask32)-two;
    return s;
}

/* Two strips of a chunk of dy, the block of channels from c on. */
static void transform_dy_strips(const job *j, const pictures *p, const chunk *k, dy_strip strips[2], int64_t c, target at) {
    const ist_owed *o = p->owed;
    int64_t width = p->size[2] - 2 * k->column, end = j->first + j->s.lines;
    dy_pixels of = {.ld = p->ld};
    if (o) {
        of.owed_ld = o->ldx;
        for (int i = 0; i < 2; i++) of.slope[i] = unpacked(o->slope + c, i), of.shift[i] = unpacked(o->shift + c, i);
        transform_dy(1, &of, strips, width, k->wide, j->first, end, at);
    } else {
        transform_dy(0, &of, strips, width, k->wide, j->first, end, at);
    }
}

static void transform_dy_plane(const job *j, const chunk *k, int64_t depth, uint32_t *to) {
    pictures p = pictures_of_dy(j);
    for (int64_t i = 0; i < k->high; i++, to += k->wide * j->s.ldd) {
        dy_strip strips[2];
        for (int h = 0; h < 2; h++) strips[h] = dy_strip_at(j, &p, k, k->strip + 2 * i + h, depth);
        for (int64_t c = 0; c < j->out; c += BLOCK) {
            transform_dy_strips(j, &p, k, strips, c, (target){to + c, j->s.pairs * j->s.ldd, j->s.ldd});
            for (int h = 0; h < 2; h++) strips[h].d += BLOCK, strips[h].owed += p.owed ? BLOCK : 0;
        }
    }
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
    if (s->flat) times *= over(k->high * k->wide, 2 * EVERY);
    return ahead_of(p, first, end_of(j, p, k), depth, last, columns_of(k, beside), times);
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

#endif

#endif
