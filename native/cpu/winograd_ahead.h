/* The input that is read next is brought into the second cache while products are made, a few lines at a time. */
#ifndef IST_WINOGRAD_AHEAD_H
#define IST_WINOGRAD_AHEAD_H

#include "winograd_output.h"

#if defined(__AVX512BF16__)

/* Memory, so many bytes at a time, a line in every step; and as many lines of what is owed. */
typedef struct ahead {
    const char *at, *end;
    int64_t each, step;
    const char *of;
    int64_t of_step;
} ahead;

/* The pixels in memory of plane z under the tiles [first, first + count). Where planes lie between two pictures, those of
 * the first picture. */
typedef struct span {
    int64_t from, to;
} span;

static span span_of(const input *in, int64_t z, int64_t first, int64_t count) {
    const int64_t *size = in->window->in, up = in->window->padding[1];
    place a = place_of(&in->tiles, first), b = place_of(&in->tiles, first + count - 1);
    int64_t n = size[0] == 1 ? b.n : a.n, top = a.row < up ? 0 : a.row - up;
    int64_t bottom = n == b.n ? min64(b.row - up + 4, size[1]) : size[1];
    return (span){((a.n * size[0] + z) * size[1] + top) * size[2], ((n * size[0] + z) * size[1] + bottom) * size[2]};
}

/* What is read behind plane z of the tiles [first, first + count), in so many calls: their next plane, if it is before
 * `end`, or the next tiles, `next` of them, without what they share with these. */
static ahead ahead_of(const input *in, int64_t first, int64_t count, int64_t z, int64_t end, int64_t next, int64_t calls) {
    const ist_window *w = in->window;
    int64_t plane = z + 1 - w->padding[0] + w->kernel[0] - 1;
    span s = {0, 0};
    if (z + 1 < end) {
        if (plane < w->in[0]) s = span_of(in, plane, first, count);
    } else if (next > 0) {
        s = span_of(in, 0, first + count, next);
        int64_t known = w->in[0] == 1 ? span_of(in, 0, first, count).to : 0;
        if (known > s.from) s.from = min64(known, s.to);
    }
    /* Pixels that are apart have one line each, or are left to the processor. */
    int together = in->ldx == w->channels, one = w->channels == BLOCK;
    int64_t lines = together || one ? (s.to - s.from) * w->channels / BLOCK : 0, step = 2 * (together ? BLOCK : in->ldx);
    const char *at = (const char *)(in->x + s.from * in->ldx);
    ahead a = {at, at + lines * step, (lines + calls - 1) / calls * step, step, NULL, 0};
    if (in->owed && one) {
        a.of = (const char *)((const uint16_t *)in->owed->x + s.from * in->owed->ldx);
        a.of_step = 2 * in->owed->ldx;
    }
    return a;
}

INLINE void fetch_ahead(ahead *a) {
    const char *at = a->at, *end = a->each < a->end - at ? at + a->each : a->end;
    a->at = end;
    for (; at < end; at += a->step, a->of += a->of_step) {
        __builtin_prefetch(at, 0, 3);
        if (a->of) __builtin_prefetch(a->of, 0, 3);
    }
}

#endif

#endif
