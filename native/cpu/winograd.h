/*
 * What Winograd's convolutions share: tiles of 2x2 output positions, each from 4x4 of the input, with 16 products in place
 * of 36 (F(2x2,3x3): Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015). Kernels are (taps,3,3): along
 * the depth the taps are summed as they are.
 */
#ifndef IST_WINOGRAD_H
#define IST_WINOGRAD_H

#include "bf16.h"
#include "window.h"

/* Points of a transformed tile. */
#define POINTS 16

/* Channels are taken, and transformed tiles are laid out, in blocks of so many. */
#define BLOCK 32

/* Height and width in tiles of what is cut: the output. */
typedef struct tiling {
    int64_t high, wide, columns; /* columns: tiles of all pictures, each standing for all its planes */
} tiling;

static inline tiling tiling_of(const ist_window *w) {
    tiling t = {(w->out[1] + 1) / 2, (w->out[2] + 1) / 2, 0};
    t.columns = w->batch * t.high * t.wide;
    return t;
}

/* Where a tile lies: its picture, and its first row and column of the output. */
typedef struct place {
    int64_t n, row, column;
} place;

INLINE place place_of(const tiling *t, int64_t column) {
    return (place){column / t->wide / t->high, column / t->wide % t->high * 2, column % t->wide * 2};
}

/* The tile behind p. */
INLINE place place_after(const tiling *t, place p) {
    p.column += 2;
    if (p.column < 2 * t->wide) return p;
    p.column = 0;
    p.row += 2;
    if (p.row < 2 * t->high) return p;
    return (place){p.n + 1, 0, 0};
}

static inline int winograd_check(const char *call, const ist_window *w) {
    int status = window_check(call, w);
    if (status) return status;
    status = bf16_check(call);
    if (status) return status;
    for (int d = 0; d < 3; d++)
        if (w->stride[d] != 1 || w->dilation[d] != 1 || (d > 0 && w->kernel[d] != 3))
            return ist_fail(IST_INVALID_ARGUMENT, "%s: axis %d of the window: kernel %lld, stride %lld, dilation %lld; "
                            "this is for 3 x 3 in steps of one", call, d, (long long)w->kernel[d],
                            (long long)w->stride[d], (long long)w->dilation[d]);
    if (w->groups != 1 || w->channels % BLOCK || w->out_channels % BLOCK || w->out_channels < 1)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: %lld channels to %lld in %lld groups; this is for one group and "
                        "multiples of %d", call, (long long)w->channels, (long long)w->out_channels,
                        (long long)w->groups, BLOCK);
    return IST_OK;
}

#endif
