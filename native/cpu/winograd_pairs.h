/*
 * Transformed tiles for weight gradients, a row of four points of two tiles at a time. The two tiles' values of a point and
 * channel lie side by side: the sums run over tiles, and vdpbf16ps takes two terms of a sum at once.
 */
#ifndef IST_WINOGRAD_PAIRS_H
#define IST_WINOGRAD_PAIRS_H

#include "winograd_cut.h"
#include "winograd_floats.h"

#if defined(__AVX512BF16__)

/* What lies beside the picture. */
static const uint16_t beside[MOST_CHANNELS];

/* `count` columns of a line of a plane [size[1], size[2]] of pixels that are ld elements apart. */
INLINE void columns_of(const uint16_t *plane, const int64_t size[3], int64_t ld, int64_t row, int64_t column, int count,
                       const uint16_t **to) {
    const uint16_t *line = plane + row * size[2] * ld;
    int inside = row >= 0 && row < size[1];
    for (int i = 0; i < count; i++, column++)
        to[i] = inside && column >= 0 && column < size[2] ? line + column * ld : beside;
}

/* Brings four such columns into the caches. By loads: prefetches were measured to do nothing here. */
static void fetch(const uint16_t *plane, const int64_t size[3], int64_t ld, int64_t row, int64_t column,
                  int64_t channels) {
    const uint16_t *line = plane + row * size[2] * ld;
    int64_t end = row < size[1] ? min64(column + 4, size[2]) : 0;
    for (; column < end; column++)
        for (int64_t c = 0; c < channels; c += BLOCK) (void)*(const volatile uint16_t *)(line + column * ld + c);
}

/* The normalised values of the block of channels from c on, rounded to bf16. */
INLINE floats normalised(floats x, const split_norm *n, int64_t c) {
    __m512 even = (__m512)norm_of((lanes)x.even, norm_lanes_at(&n->numbers, c), 0);
    __m512 odd = (__m512)norm_of((lanes)x.odd, norm_lanes_at(&n->numbers, c + LANES), 0);
    __m512 least = _mm512_set1_ps(n->least); /* what is no number stays none */
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_max_ps(least, odd), _mm512_max_ps(least, even));
    uint16_t at[2 * BLOCK];
    for (int i = 0; i < 2 * BLOCK; i++) at[i] = (uint16_t)(i / 2);
    return (floats){(__m512)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, _mm512_loadu_si512(at), both),
                    (__m512)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, _mm512_loadu_si512(at + BLOCK), both)};
}

/* Which words of a and b make LANES pairs, of the channels from `first` on; `split`: even channels lie before odd ones. */
INLINE __m512i order(int split, int first) {
    uint16_t at[BLOCK];
    for (int i = 0; i < LANES; i++) {
        int c = first + i;
        at[2 * i] = (uint16_t)(split ? c / 2 + c % 2 * LANES : c);
        at[2 * i + 1] = (uint16_t)(at[2 * i] + BLOCK);
    }
    return _mm512_loadu_si512(at);
}

INLINE void write_words(int split, __m512i a, __m512i b, uint32_t *to) {
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, order(split, 0), b));
    _mm512_storeu_si512(to + LANES, _mm512_permutex2var_epi16(a, order(split, LANES), b));
}

INLINE void write_floats(floats a, floats b, uint32_t *to) {
    write_words(1, (__m512i)_mm512_cvtne2ps_pbh(a.odd, a.even), (__m512i)_mm512_cvtne2ps_pbh(b.odd, b.even), to);
}

/* A block of channels of x; what lies beside the picture is zero after the norm as well. */
INLINE floats input_of(const uint16_t *x, int64_t c, int norm, const split_norm *n) {
    floats f = floats_of(_mm512_loadu_si512(x + c));
    return norm && x != beside ? normalised(f, n, c) : f;
}

/* One row of B'x B of two tiles: to[c] of the first point; the next three are `next` further each. one, two: the lines
 * that the row adds or subtracts, four columns a tile; `side`: the tiles lie side by side and share two of six columns. */
INLINE void transform_x(int side, int add, int norm, const split_norm *n, const uint16_t *const *one,
                        const uint16_t *const *two, int64_t channels, uint32_t *to, int64_t next) {
    int count = side ? 6 : 8;
    for (int64_t c = 0; c < channels; c += BLOCK, to += BLOCK) {
        floats t[8];
        UNROLL for (int i = 0; i < count; i++) {
            floats a = input_of(one[i], c, norm, n), b = input_of(two[i], c, norm, n);
            t[i] = add ? plus(a, b) : minus(a, b);
        }
        const floats *u = t + (side ? 2 : 4);
        write_floats(minus(t[0], t[2]), minus(u[0], u[2]), to);
        write_floats(plus(t[1], t[2]), plus(u[1], u[2]), to + next);
        write_floats(minus(t[2], t[1]), minus(u[2], u[1]), to + 2 * next);
        write_floats(minus(t[1], t[3]), minus(u[1], u[3]), to + 3 * next);
    }
}

/* The same of A dy A', but for the sign of the last row and the last column: A's last row is (0, -1), here it is (0, 1).
 * one, two: the tiles' lines, two columns a tile; sign: of the second one in this row, 0 if `one` is alone. */
INLINE void transform_dy(int sign, const uint16_t *const *one, const uint16_t *const *two, int64_t channels, uint32_t *to,
                         int64_t next) {
    for (int64_t c = 0; c < channels; c += BLOCK, to += BLOCK) {
        __m512i raw[4];
        floats t[4];
        UNROLL for (int i = 0; i < 4; i++) {
            raw[i] = _mm512_loadu_si512(one[i] + c);
            t[i] = floats_of(raw[i]);
            if (sign == 0) continue;
            floats b = floats_of(_mm512_loadu_si512(two[i] + c));
            t[i] = sign > 0 ? plus(t[i], b) : minus(t[i], b);
        }
        if (sign == 0) {
            write_words(0, raw[0], raw[2], to);
            write_words(0, raw[1], raw[3], to + 3 * next);
        } else {
            write_floats(t[0], t[2], to);
            write_floats(t[1], t[3], to + 3 * next);
        }
        write_floats(plus(t[0], t[1]), plus(t[2], t[3]), to + next);
        write_floats(minus(t[0], t[1]), minus(t[2], t[3]), to + 2 * next);
    }
}

/* A line of four points times G, but for the sign that transform_dy left. */
INLINE void times_g(const lanes *u, int step, lanes *r, int to) {
    lanes sum = 0.5f * (u[step] + u[2 * step]);
    r[0] = u[0] + sum;
    r[to] = 0.5f * (u[step] - u[2 * step]);
    r[2 * to] = sum - u[3 * step];
}

/* Transposes 16x16 into lines that are ld apart, of which the elements `some` are written. */
INLINE void transpose(const lanes *from, float *to, int64_t ld, __mmask16 some) {
    __m512 a[16], b[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps((__m512)from[i], (__m512)from[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps((__m512)from[i], (__m512)from[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
        UNROLL for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = (__m512)_mm512_unpacklo_pd((__m512d)b[i + k], (__m512d)b[i + k + 2]);
            a[i + 2 * k + 1] = (__m512)_mm512_unpackhi_pd((__m512d)b[i + k], (__m512d)b[i + k + 2]);
        }
    UNROLL for (int i = 0; i < 16; i += 8)
        UNROLL for (int k = 0; k < 4; k++) {
            b[i + k] = _mm512_shuffle_f32x4(a[i + k], a[i + k + 4], 0x88);
            b[i + k + 4] = _mm512_shuffle_f32x4(a[i + k], a[i + k + 4], 0xdd);
        }
    UNROLL for (int k = 0; k < 8; k++) {
        _mm512_mask_storeu_ps(to + k * ld, some, _mm512_shuffle_f32x4(b[k], b[k + 8], 0x88));
        _mm512_mask_storeu_ps(to + (k + 8) * ld, some, _mm512_shuffle_f32x4(b[k], b[k + 8], 0xdd));
    }
}

#endif

#endif
