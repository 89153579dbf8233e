/*
 * Rows of dy times one block of w, for the data gradient of a convolution with one tap, and what becomes of the products.
 *
 * A sum is cut in TILE parts, and the TILE rows that are summed at a time do not begin together: row t of a tile begins with
 * part t, comes to the last one, takes the first ones and is finished when its turn comes again, from registers, while the
 * others go on. So what is done beside the products is spread among them as evenly as can be, which is what hides it: done for
 * all rows at once it does not. At each step one row is finished, one begins in its place, and the window of
 * rows that are summed moves on by one.
 *
 * The rows before the first of a strip are its last ones: what they have summed in the first round is kept until they come.
 * A strip's last tile is finished in the first round of the next strip.
 */
#ifndef IST_POINTWISE_STRIP_H
#define IST_POINTWISE_STRIP_H

#include "norm_bounds.h"
#include "pointwise.h"

/* TILE pixels against BLOCK channels of dx: enough sums to hide the products' latency, and half of the registers are left for
 * what is done beside them. */
#define TILE 8

/* The numbers of a block of channels, as NUMBERS rows of BLOCK: mean, factor, and the bounds of what ReLU lets through. */
enum { MEAN, FACTOR, LOW, HIGH, NUMBERS };

#if defined(__AVX512BF16__)

/* What happens to the products: they are dx, or they go through a norm, or one with ReLU; and may be added to something. */
enum { PLAIN, NORM, NORM_RELU };

/* Rows of dx, x and add at the same place; x is NULL without a norm, add without anything to add. */
typedef struct place {
    char *dx;
    const char *x, *add;
} place;

/* Bytes between rows of each. */
typedef struct pitch {
    int64_t dx, x, add;
} pitch;

INLINE place moved(place p, const pitch *apart, int64_t rows, int64_t columns) {
    return (place){p.dx + rows * apart->dx + 2 * columns, p.x ? p.x + rows * apart->x + 2 * columns : NULL,
                   p.add ? p.add + rows * apart->add + 2 * columns : NULL};
}

/* Of BLOCK channels, wherever they lie as the registers have them, the even ones come first: they are cheaper to take apart
 * than two halves. */
INLINE int64_t place_of(int64_t channel) { return channel % BLOCK / 2 + channel % 2 * 16; }

static const uint16_t pair_order[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

/* BLOCK channels as they are to lie in memory. */
INLINE void put(char *to, lanes even, lanes odd) {
    __m512i v = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_loadu_si512(pair_order), v));
}

INLINE ints words_at(const char *p) {
    ints v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE __m512bh pairs_at(const char *p) {
    __m512bh v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The even, or the odd, of BLOCK channels. */
INLINE lanes half_of(ints words, int odd) { return (lanes)(odd ? words & -65536 : words << 16); }

/* ---- What dy is owed ---- */

/* What is settled between the products: vectors of BLOCK channels, row after row. Without debts they are fetched only. */
typedef struct settling {
    const char *dy, *x; /* what comes next */
    char *to;
    const float *debt, *debts, *end; /* [block of k, 2, BLOCK]: slopes and shifts */
    int64_t gap;                     /* bytes between the rows of x */
    int64_t left;                    /* vectors */
} settling;

/* Bytes that dy and what it is owed are fetched ahead. */
#define AHEAD 2048

INLINE void settle_next(settling *s) {
    const char *dy = s->dy, *x = s->x;
    __builtin_prefetch(dy + AHEAD);
    s->dy = dy + 2 * BLOCK;
    s->left--;
    if (!s->debts) return;
    __builtin_prefetch(x + AHEAD);
    const float *o = s->debt;
    ints d = words_at(dy), of = words_at(x);
    lanes v[2];
    UNROLL for (int h = 0; h < 2; h++)
        v[h] = half_of(d, h) + (lanes)_mm512_fmadd_ps((__m512)half_of(of, h), (__m512)lanes_at(o + 16 * h),
                                                     (__m512)lanes_at(o + BLOCK + 16 * h));
    put(s->to, v[0], v[1]);
    s->to += 2 * BLOCK;
    x += 2 * BLOCK;
    o += 2 * BLOCK;
    if (o == s->end) {
        o = s->debts;
        x += s->gap;
    }
    s->debt = o;
    s->x = x;
}

/* ---- What becomes of the products ---- */

/* The norm's sums at the even and the odd ones of BLOCK channels: of dz, of dz (x - mean). */
typedef struct totals {
    lanes sum[2], product[2];
} totals;

INLINE totals totals_at(const float *part) {
    return (totals){{lanes_at(part), lanes_at(part + 16)}, {lanes_at(part + 32), lanes_at(part + 48)}};
}

INLINE void keep(float *part, const totals *s) {
    UNROLL for (int h = 0; h < 2; h++) {
        _mm512_storeu_ps(part + 16 * h, (__m512)s->sum[h]);
        _mm512_storeu_ps(part + BLOCK + 16 * h, (__m512)s->product[h]);
    }
}

/* What becomes of a row's products; n: the numbers of its channels. */
INLINE void finish(int mode, int add, lanes d[2], place p, const float *n, totals *s) {
    if (mode != PLAIN) {
        ints x = words_at(p.x), to = {0};
        if (add) to = words_at(p.add);
        UNROLL for (int h = 0; h < 2; h++, n += 16) {
            lanes v = half_of(x, h), dz = d[h], a = lanes_at(n + FACTOR * BLOCK);
            if (mode == NORM_RELU) dz = passed(dz, v, lanes_at(n + LOW * BLOCK), lanes_at(n + HIGH * BLOCK));
            s->sum[h] += dz;
            s->product[h] = (lanes)_mm512_fmadd_ps((__m512)dz, (__m512)(v - lanes_at(n + MEAN * BLOCK)),
                                                   (__m512)s->product[h]);
            d[h] = (lanes)_mm512_fmadd_ps((__m512)a, (__m512)dz, add ? (__m512)half_of(to, h) : _mm512_setzero_ps());
        }
    }
    put(p.dx, d[0], d[1]);
}

/* ---- Strips ---- */

/* Rows that wait to be finished, with what is theirs. */
typedef struct waiting {
    int64_t rows;
    place at;
    const float *norms;
    double *sums; /* [2, BLOCK] */
} waiting;

/* What a step reads, in memory: registers are for sums. */
typedef struct strip {
    int64_t ld, pairs;         /* bytes of a row of dy; pairs of output channels in a part of a sum */
    const char *row, *column;  /* the window's first row of dy, at the part; of w */
    const float *from;         /* [TILE, BLOCK]: what sums begin with */
    float *begun;              /* [TILE, BLOCK]: what the last rows have summed in the first round */
    float *products;           /* [TILE, BLOCK]: of the last strip's last tile */
    float *part;               /* [2, BLOCK]: sums of the norm */
    int64_t first;             /* whether this is the first round */
    int64_t together;          /* whether what is added lies where dx does */
    int64_t count;             /* vectors of dy to settle at a step */
    pitch apart;
    waiting w;
    place next;                /* to be fetched */
    settling s;
} strip;

/* Rows are fetched so many tiles before their products begin. With one, those that do not begin at 128 bytes came too late. */
#define TILES_AHEAD 3

/* What is in the strip is not kept in registers over this point: there the compiler kept it in those of vectors. */
#define IN_MEMORY(r) __asm__ volatile("" : "+m"(*(r)) : : "memory")

/* One row on. */
INLINE void advance(int mode, int add, place *p, const pitch *apart) {
    p->dx += apart->dx;
    if (mode != PLAIN) p->x += apart->x;
    if (add) p->add += apart->add;
}

INLINE void fetch_row(int mode, int add, strip *r) {
    __builtin_prefetch(r->next.dx, 1);
    if (mode != PLAIN) __builtin_prefetch(r->next.x);
    if (add && !r->together) __builtin_prefetch(r->next.add);
    advance(mode, add, &r->next, &r->apart);
}

/* Takes the products of the window's first row, which is row p of its tile, out of the sums, and begins those of the next row. */
INLINE void turn(int mode, int add, int64_t p, strip *r, lanes s[TILE][2], totals *sums) {
    lanes d[2] = {s[0][0], s[0][1]};
    if (r->first)
        UNROLL for (int h = 0; h < 2; h++) {
            _mm512_storeu_ps(r->begun + p * BLOCK + 16 * h, (__m512)d[h]);
            d[h] = lanes_at(r->products + p * BLOCK + 16 * h);
        }
    if (p < r->w.rows) finish(mode, add, d, r->w.at, r->w.norms, sums);
    advance(mode, add, &r->w.at, &r->apart);
    UNROLL for (int i = 0; i < TILE - 1; i++)
        UNROLL for (int h = 0; h < 2; h++) s[i][h] = s[i + 1][h];
    UNROLL for (int h = 0; h < 2; h++) s[TILE - 1][h] = lanes_at(r->from + p * BLOCK + 16 * h);
}

/* Part p of the sums of the window's rows, the last of which is row p of its tile. */
INLINE void step(int mode, int add, int64_t p, strip *r, lanes s[TILE][2], totals *sums) {
    turn(mode, add, p, r, s, sums);
    IN_MEMORY(r);
    fetch_row(mode, add, r);
    for (int64_t n = r->count; n > 0 && r->s.left > 0; n--) settle_next(&r->s);
    const int64_t ld = r->ld;
    const char *row = r->row, *lower = row + TILE / 2 * ld, *column = r->column, *end = row + 4 * r->pairs;
    r->row = end + ld;
    r->column = column + 4 * BLOCK * r->pairs;
    IN_MEMORY(r);
    /* Two pointers to rows, where the compiler would have eight. */
    __asm__("" : "+r"(row), "+r"(lower));
    _Pragma("GCC unroll 1") for (; row < end; row += 8, lower += 8, column += 8 * BLOCK) {
        UNROLL for (int q = 0; q < 2; q++) {
            __m512bh w0 = pairs_at(column + q * 4 * BLOCK), w1 = pairs_at(column + q * 4 * BLOCK + 64);
            UNROLL for (int i = 0; i < TILE; i++) {
                int32_t pair;
                memcpy(&pair, (i < TILE / 2 ? row : lower) + i % (TILE / 2) * ld + 4 * q, 4);
                __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
                lanes *to = s[i];
                to[0] = (lanes)_mm512_dpbf16_ps((__m512)to[0], x, w0);
                to[1] = (lanes)_mm512_dpbf16_ps((__m512)to[1], x, w1);
            }
        }
    }
}

/* Tiles whose sums for the norm are taken in float32. */
#define SUMMED_TILES 16

/* Adds what the norm's sums have come to to those in float64. */
INLINE void add_part(strip *r, totals *s) {
    keep(r->part, s);
    SIMD for (int64_t i = 0; i < 2 * BLOCK; i++) r->w.sums[i] += r->part[i];
    memset(r->part, 0, 2 * BLOCK * sizeof(float));
    *s = totals_at(r->part);
}

/* Tiles of rows of dy times a block of w, which begins at `column`. The first round reads dy at `head`: the strip's last
 * TILE - 1 rows, then its first TILE; the others at `rows`. w: where the strip is finished; after: where the next one is. The
 * steps are a loop, though sums must move on for it: with eight places in the code that read x and dx the processor does not see
 * where these go, and fetches little of them by itself. */
INLINE void multiply(int mode, int add, strip *r, int64_t tiles, const char *head, const char *rows, const char *column,
                     const waiting *w, place after) {
    static const float zeros[TILE * BLOCK];
    totals sums = totals_at(r->part);
    lanes s[TILE][2];
    UNROLL for (int i = 0; i < TILE; i++) s[i][0] = s[i][1] = (lanes){0};
    for (int64_t t = 0; t < tiles; t++) {
        r->first = t == 0;
        r->row = t ? rows + (t * TILE - TILE + 1) * r->ld : head;
        r->column = column;
        r->from = t + 1 < tiles ? zeros : r->begun;
        int64_t ahead = t + TILES_AHEAD - tiles;
        r->next = ahead < 0 ? moved(w->at, &r->apart, (t + TILES_AHEAD) * TILE, 0) : moved(after, &r->apart, ahead * TILE, 0);
        _Pragma("GCC unroll 1") for (int64_t p = 0; p < TILE; p++) step(mode, add, p, r, s, &sums);
        if (mode != PLAIN && t % SUMMED_TILES == 0) add_part(r, &sums);
        if (t == 0) r->w = *w;
    }
    UNROLL for (int t = 0; t < TILE; t++)
        UNROLL for (int h = 0; h < 2; h++) _mm512_storeu_ps(r->products + t * BLOCK + 16 * h, (__m512)s[t][h]);
    if (mode != PLAIN) keep(r->part, &sums);
}

/* The rows that wait still. */
INLINE void finish_waiting(int mode, int add, strip *r) {
    totals sums = totals_at(r->part);
    for (int64_t t = 0; t < r->w.rows; t++) {
        lanes d[2] = {lanes_at(r->products + t * BLOCK), lanes_at(r->products + t * BLOCK + 16)};
        finish(mode, add, d, moved(r->w.at, &r->apart, t, 0), r->w.norms, &sums);
    }
    if (mode != PLAIN) add_part(r, &sums);
}
#endif

#endif
