/*
 * What the convolution of few channels, as a network's first one, and its weight gradient share. What lies under a line of a
 * window is one piece of the input, columns and channels in a row: `words` of it. Lines of the input are laid out with zeros
 * beside them, two lines word by word next to each other, so that a broadcast of four bytes is a pair of terms.
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

/* Bytes of a line of pairs, and of a line as it is, of which what lies up to a window further on is read as well. */
static inline int64_t pair_line_bytes(const stem *s) { return 4 * s->length; }
static inline int64_t word_line_bytes(const stem *s) {
    return whole(2 * (s->length + STEM_CHANNELS * STEM_TAPS), 64);
}

static inline int stem_check(const char *call, const ist_window *w) {
    int status = window_check(call, w);
    if (status || (status = bf16_check(call))) return status;
    if (w->channels > STEM_CHANNELS || w->out_channels < 1 || w->out_channels % BLOCK || w->groups != 1)
        return ist_fail(IST_INVALID_ARGUMENT,
                        "%s: %lld channels to %lld in %lld groups; this is for at most %d channels to multiples of %d",
                        call, (long long)w->channels, (long long)w->out_channels, (long long)w->groups, STEM_CHANNELS, BLOCK);
    for (int d = 0; d < 3; d++)
        if (w->kernel[d] > (d ? STEM_TAPS : 1) || w->stride[d] > (d ? STEM_STRIDE : 1) || w->dilation[d] != 1 ||
            (d == 0 && (w->in[0] != 1 || w->padding[0])))
            return ist_fail(IST_INVALID_ARGUMENT,
                            "%s: axis %d of the window: in %lld, kernel %lld, stride %lld, padding %lld, dilation %lld; this is "
                            "for two dimensions, kernels up to %d, strides up to %d, no dilation",
                            call, d, (long long)w->in[d], (long long)w->kernel[d], (long long)w->stride[d],
                            (long long)w->padding[d], (long long)w->dilation[d], STEM_TAPS, STEM_STRIDE);
    if (w->batch < 1) return ist_fail(IST_INVALID_ARGUMENT, "%s: a batch of %lld", call, (long long)w->batch);
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* Line `row` of picture n, which may lie beside the picture, as it is under windows; zeros around. */
static inline void lay_words(const ist_window *w, const stem *s, const uint16_t *x, int64_t n, int64_t row, uint16_t *to) {
    int64_t length = word_line_bytes(s) / 2, all = w->in[2] * w->channels, left = min64(w->padding[2] * w->channels, length);
    if (row < 0 || row >= w->in[1]) left = length;
    int64_t count = min64(all, length - left);
    memset(to, 0, (size_t)left * 2);
    memcpy(to + left, x + (n * w->in[1] + row) * all, (size_t)count * 2);
    memset(to + left + count, 0, (size_t)(length - left - count) * 2);
}

/* Words of a and of b side by side. */
static inline void lay_pairs(const stem *s, const uint16_t *a, const uint16_t *b, char *to) {
    for (int64_t i = 0; i < s->length; i += 16) {
        __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(a + i)));
        __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(b + i)));
        _mm512_storeu_si512(to + 4 * i, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
}
#endif

#endif
