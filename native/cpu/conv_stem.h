/*
 * What the convolution of few channels, as a network's first one, and its weight gradient share. What lies under a line of
 * a window is one piece of the input, columns and channels in a row: `words` of it. Lines of the input are laid out with
 * zeros beside them, two lines word by word next to each other, so that a broadcast of four bytes is a pair of terms.
 */
#ifndef IST_CONV_STEM_H
#define IST_CONV_STEM_H

#include "bf16.h"
#include "window.h"

/* Output channels are taken in blocks. */
#define BLOCK 32

/* Channels of the input, taps of a line or a column of the window, and its stride, at most. */
enum { STEM_CHANNELS = 4, STEM_TAPS = 7, STEM_STRIDE = 2 };

INLINE int64_t over(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t whole(int64_t n, int64_t unit) { return over(n, unit) * unit; }

/* How a window reads lines. */
typedef struct stem {
    int64_t words, step;         /* under a line of the window; from one output to the next */
    int64_t length;              /* pairs of a line that is laid out: whole vectors */
    int64_t blocks, lines;       /* of output channels; of outputs */
    int64_t rows, columns, down; /* taps over and beside each other; the stride from line to line */
} stem;

/* wide: so many outputs of a line may be read. */
static inline stem stem_of(const ist_window *w, int64_t wide) {
    int64_t words = w->kernel[2] * w->channels, step = w->stride[2] * w->channels;
    return (stem){words, step, whole((wide - 1) * step + words, 16), w->out_channels / BLOCK, w->batch * w->out[1],
                  w->kernel[1], w->kernel[2], w->stride[1]};
}

static inline int64_t pair_line_bytes(const stem *s) { return 4 * s->length; }

static inline int stem_check(const char *call, const ist_window *w) {
    int status = window_check(call, w);
    if (status || (status = bf16_check(call))) return status;
    if (w->channels > STEM_CHANNELS || w->out_channels < 1 || w->out_channels % BLOCK || w->groups != 1)
        return ist_fail(IST_INVALID_ARGUMENT,
                        "%s: %lld channels to %lld in %lld groups; this is for at most %d channels to multiples of %d",
                        call, (long long)w->channels, (long long)w->out_channels, (long long)w->groups, STEM_CHANNELS,
                        BLOCK);
    for (int d = 0; d < 3; d++)
        if (w->kernel[d] > (d ? STEM_TAPS : 1) || w->stride[d] > (d ? STEM_STRIDE : 1) || w->dilation[d] != 1 ||
            (d == 0 && (w->in[0] != 1 || w->padding[0])))
            return ist_fail(IST_INVALID_ARGUMENT,
                            "%s: axis %d of the window: in %lld, kernel %lld, stride %lld, padding %lld, dilation %lld; "
                            "this is for two dimensions, kernels up to %d, strides up to %d, no dilation",
                            call, d, (long long)w->in[d], (long long)w->kernel[d], (long long)w->stride[d],
                            (long long)w->padding[d], (long long)w->dilation[d], STEM_TAPS, STEM_STRIDE);
    if (w->batch < 1) return ist_fail(IST_INVALID_ARGUMENT, "%s: a batch of %lld", call, (long long)w->batch);
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* A line as it is under windows: word i is at[i] from `from` on, so many words; around them are zeros. */
typedef struct words {
    const uint16_t *at;
    int64_t from, count;
} words;

/* Line `row` of picture n, which may lie beside the picture. */
INLINE words words_of(const ist_window *w, const uint16_t *x, int64_t n, int64_t row) {
    int64_t all = w->in[2] * w->channels, left = w->padding[2] * w->channels;
    if (row < 0 || row >= w->in[1]) return (words){x, 0, 0};
    return (words){x + (n * w->in[1] + row) * all - left, left, all};
}

/* The same line, begun so many words later. */
INLINE words words_after(words w, int64_t n) { return (words){w.at + n, w.from - n, w.count}; }

/* 16 words of a line; `edge`: some may lie beside the picture. */
INLINE __m512i words_at(int edge, words w, int64_t i) {
    if (!edge) return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(w.at + i)));
    __m512i iota = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i place = _mm512_add_epi32(iota, _mm512_set1_epi32((int32_t)(i - w.from)));
    __mmask16 there = _mm512_cmplt_epu32_mask(place, _mm512_set1_epi32((int32_t)w.count));
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, w.at + i));
}

/* The pairs [i, end). */
INLINE int64_t lay_some(int edge, words a, words b, int64_t i, int64_t end, char *to) {
    for (; i < end; i += 16) {
        __m512i high = _mm512_slli_epi32(words_at(edge, b, i), 16);
        _mm512_storeu_si512(to + 4 * i, _mm512_or_si512(words_at(edge, a, i), high));
    }
    return i;
}

/* Words of a and of b side by side. */
static inline void lay_pairs(const stem *s, words a, words b, char *to) {
    int64_t begin = a.from > b.from ? a.from : b.from, end = min64(a.from + a.count, b.from + b.count);
    int64_t i = lay_some(1, a, b, 0, min64(whole(begin, 16), s->length), to);
    i = lay_some(0, a, b, i, min64(end / 16 * 16, s->length), to);
    lay_some(1, a, b, i, s->length, to);
}

/* Where the input goes on at line `row` of picture n, for what is read next; and how much of it that is for so many lines
 * of outputs. */
INLINE const char *input_after(const ist_window *w, const uint16_t *x, int64_t n, int64_t row) {
    int64_t line = row < 0 ? 0 : min64(row, w->in[1]);
    return (const char *)(x + (n * w->in[1] + line) * w->in[2] * w->channels);
}
INLINE int64_t input_bytes(const ist_window *w, int64_t lines) {
    return 2 * lines * w->stride[1] * w->in[2] * w->channels;
}
#endif

#endif
