/*
 * Transformed tiles for weight gradients, a row of four points of two tiles at a time. The two tiles' values of a point and
 * channel lie side by side: the sums run over tiles, and vdpbf16ps takes two terms of a sum at once. The two lie in the same
 * column of two strips, which are lines of tiles that follow each other.
 */
#ifndef IST_WINOGRAD_PAIRS_H
#define IST_WINOGRAD_PAIRS_H

#include "transpose.h"
#include "winograd_lines.h"

#if defined(__AVX512BF16__)

INLINE floats plus(floats a, floats b) { return (floats){a.low + b.low, a.high + b.high}; }
INLINE floats minus(floats a, floats b) { return (floats){a.low - b.low, a.high - b.high}; }

/* The sum of two lines' words or the difference: what vdpbf16ps makes of them in one operation, where widening them first
 * would take two more. */
INLINE floats combined(int add, const uint16_t *one, const uint16_t *two) {
    __m512i a = _mm512_loadu_si512(one), b = _mm512_loadu_si512(two);
    __m512bh by = (__m512bh)_mm512_set1_epi32(add ? 0x3f803f80 : (int)0xbf803f80);
    __m512 zero = _mm512_setzero_ps();
    return (floats){_mm512_dpbf16_ps(zero, (__m512bh)_mm512_unpacklo_epi16(a, b), by),
                    _mm512_dpbf16_ps(zero, (__m512bh)_mm512_unpackhi_epi16(a, b), by)};
}

/* LANES pairs of a and b, rounded to bf16. */
INLINE __m512i paired(__m512 a, __m512 b) {
    static const uint16_t both[BLOCK] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                         8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(both), (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

INLINE void write_pairs(floats a, floats b, uint32_t *to) {
    _mm512_storeu_si512(to, paired(a.low, b.low));
    _mm512_storeu_si512(to + LANES, paired(a.high, b.high));
}

#define TWICE _Pragma("GCC unroll 2")

/* Where pairs of tiles are written: to[c] of the first column and point; the next points and columns are so far on. */
typedef struct target {
    uint32_t *to;
    int64_t point, column;
} target;

/* Two strips' lines that a row of points combines, of BLOCK channels. */
typedef struct lines_pair {
    const uint16_t *one[2], *two[2];
} lines_pair;

/* lines: which of the strips' lines, that follow each other in steps of `line`. */
INLINE lines_pair lines_of(const uint16_t *const strips[2], int64_t line, const int lines[2]) {
    lines_pair from;
    for (int i = 0; i < 2; i++) {
        from.one[i] = strips[i] + lines[0] * line;
        from.two[i] = strips[i] + lines[1] * line;
    }
    return from;
}

/* Column number `column` of one strip, its two lines added or subtracted. */
INLINE floats column_at(int add, const lines_pair *from, int strip, int64_t column) {
    return combined(add, from->one[strip] + column * BLOCK, from->two[strip] + column * BLOCK);
}

/* A row of B'x B of `wide` columns of tiles; add: whether the row adds its two lines. */
INLINE void transform_x(int add, const lines_pair *from, int64_t wide, target at) {
    floats t[2][4];
    UNROLL for (int s = 0; s < 2; s++)
        UNROLL for (int i = 0; i < 2; i++) t[s][i] = column_at(add, from, s, i);
    TWICE for (int64_t column = 0; column < wide; column++, at.to += at.column) {
        UNROLL for (int s = 0; s < 2; s++)
            UNROLL for (int i = 2; i < 4; i++) t[s][i] = column_at(add, from, s, 2 * column + i);
        write_pairs(minus(t[0][0], t[0][2]), minus(t[1][0], t[1][2]), at.to);
        write_pairs(plus(t[0][1], t[0][2]), plus(t[1][1], t[1][2]), at.to + at.point);
        write_pairs(minus(t[0][2], t[0][1]), minus(t[1][2], t[1][1]), at.to + 2 * at.point);
        write_pairs(minus(t[0][1], t[0][3]), minus(t[1][1], t[1][3]), at.to + 3 * at.point);
        UNROLL for (int s = 0; s < 2; s++)
            UNROLL for (int i = 0; i < 2; i++) t[s][i] = t[s][i + 2];
    }
}

/* Which of a tile's lines a row of points combines. */
static const int x_lines[4][2] = {{0, 2}, {1, 2}, {2, 1}, {1, 3}};

static void transform_row(int64_t row, const lines_pair *from, int64_t wide, target at) {
    if (row == 1) transform_x(1, from, wide, at);
    else transform_x(0, from, wide, at);
}

/* A strip of dy in memory: its first pixel, from a block's first channel on, and what that is owed; from its first line to
 * the second, 0 where there is none; and which of them count: all bits are set or none. */
typedef struct dy_strip {
    const uint16_t *d, *owed;
    int64_t line, owed_line;
    __mmask32 lines[2];
} dy_strip;

/* From one pixel of dy to the next, and how one is settled: in registers, as no two tiles share it. */
typedef struct dy_pixels {
    int64_t ld, owed_ld;
    lanes slope[2], shift[2];
} dy_pixels;

INLINE floats dy_at(int owed, const dy_pixels *p, const dy_strip *s, int line, int64_t column, __mmask32 counts) {
    const uint16_t *d = s->d + line * s->line + column * p->ld;
    if (!owed) return unpacked_words(order(_mm512_maskz_loadu_epi16(counts, d)));
    floats v = floats_at(d), of = floats_at(s->owed + line * s->owed_line + column * p->owed_ld);
    v.low += _mm512_fmadd_ps(of.low, (__m512)p->slope[0], (__m512)p->shift[0]);
    v.high += _mm512_fmadd_ps(of.high, (__m512)p->slope[1], (__m512)p->shift[1]);
    return unpacked_words(order_again(_mm512_maskz_mov_epi16(counts, words_of(v))));
}

/* A row of A dy, but for the sign of the last one: A's last row is (0, -1), here it is (0, 1). */
INLINE floats dy_row(int row, floats above, floats below) {
    return row == 0 ? above : row == 1 ? plus(above, below) : row == 2 ? minus(above, below) : below;
}

/* The same of a row's columns, of two strips. */
INLINE void write_dy_row(const floats one[2], const floats two[2], target at) {
    UNROLL for (int i = 0; i < 4; i++)
        write_pairs(dy_row(i, one[0], one[1]), dy_row(i, two[0], two[1]), at.to + i * at.point);
}

/* The rows [first, end) of A dy A' of `wide` columns of tiles of two strips, of which `width` pixels are in the picture. */
INLINE void transform_dy(int owed, const dy_pixels *p, const dy_strip strips[2], int64_t width, int64_t wide, int64_t first,
                         int64_t end, target at) {
    for (int64_t column = 0; column < wide; column++, at.to += at.column) {
        int64_t beside = 2 * column + 1 < width; /* Is there a second pixel? */
        __mmask32 second = (__mmask32)-beside;
        floats t[2][2][2];
        UNROLL for (int s = 0; s < 2; s++)
            UNROLL for (int i = 0; i < 2; i++) {
                t[s][i][0] = dy_at(owed, p, strips + s, i, 2 * column, strips[s].lines[i]);
                t[s][i][1] = dy_at(owed, p, strips + s, i, 2 * column + beside, strips[s].lines[i] & second);
            }
        target points = at;
        UNROLL for (int row = 0; row < 4; row++) {
            if (row < first || row >= end) continue;
            floats of[2][2];
            UNROLL for (int s = 0; s < 2; s++)
                UNROLL for (int i = 0; i < 2; i++) of[s][i] = dy_row(row, t[s][0][i], t[s][1][i]);
            write_dy_row(of[0], of[1], points);
            points.to += 4 * at.point;
        }
    }
}

/* Half of a column of one strip's channels, its two lines added or subtracted; without the multipliers, which have other work
 * meanwhile. */
INLINE __m512 half_at(int add, int half, const lines_pair *from, int strip, int64_t column) {
    __m512i zero = _mm512_setzero_si512();
    __m512i a = _mm512_loadu_si512(from->one[strip] + column * BLOCK);
    __m512i b = _mm512_loadu_si512(from->two[strip] + column * BLOCK);
    __m512 x = (__m512)(half ? _mm512_unpackhi_epi16(zero, a) : _mm512_unpacklo_epi16(zero, a));
    __m512 y = (__m512)(half ? _mm512_unpackhi_epi16(zero, b) : _mm512_unpacklo_epi16(zero, b));
    return add ? x + y : x - y;
}

/* A row of B'x B of one column of tiles of one strip, of half of the channels; before anything else that is to be done, or the
 * caller's sums would not all stay in registers. */
INLINE void combine_half(int add, int half, const lines_pair *from, int strip, int64_t column, __m512 points[4]) {
    __m512 t[4];
    UNROLL for (int i = 0; i < 4; i++) t[i] = half_at(add, half, from, strip, 2 * column + i);
    points[0] = t[0] - t[2];
    points[1] = t[1] + t[2];
    points[2] = t[2] - t[1];
    points[3] = t[1] - t[3];
    UNROLL for (int i = 0; i < 4; i++) __asm__ volatile("" : "+v"(points[i]));
}

/* A line of four points times G, but for the sign that transform_dy left. */
INLINE void times_g(const lanes *u, int step, lanes *r, int to) {
    lanes sum = 0.5f * (u[step] + u[2 * step]);
    r[0] = u[0] + sum;
    r[to] = 0.5f * (u[step] - u[2 * step]);
    r[2 * to] = sum - u[3 * step];
}
#endif

#endif
