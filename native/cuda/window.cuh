/* Windows over depth, height and width; in two dimensions depth is 1. */
#ifndef ISTHMUS_WINDOW_CUH
#define ISTHMUS_WINDOW_CUH

struct Window {
    int batch, channels, out_channels, groups;
    int in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
};

struct At {
    int n, p[3];
};

#define INFINITY_F __uint_as_float(0x7f800000u)

INLINE i64 outputs(const Window &w) { return (i64)w.batch * w.out[0] * w.out[1] * w.out[2]; }
INLINE i64 inputs(const Window &w) { return (i64)w.batch * w.in[0] * w.in[1] * w.in[2]; }

INLINE At place_in(const int *size, i64 i) {
    At a;
    a.p[2] = (int)(i % size[2]);
    i /= size[2];
    a.p[1] = (int)(i % size[1]);
    i /= size[1];
    a.p[0] = (int)(i % size[0]);
    a.n = (int)(i / size[0]);
    return a;
}

INLINE At output_at(const Window &w, i64 i) { return place_in(w.out, i); }
INLINE At input_at(const Window &w, i64 i) { return place_in(w.in, i); }

struct Tap {
    int p[3];
};

/* All places of the kernel, the last axis fastest. */
#define EACH_TAP(w, k) \
    for (Tap k = {{0, 0, 0}}; k.p[0] < (w).kernel[0]; next_tap(w, k))

INLINE void next_tap(const Window &w, Tap &k) {
    if (++k.p[2] < w.kernel[2]) return;
    k.p[2] = 0;
    if (++k.p[1] < w.kernel[1]) return;
    k.p[1] = 0;
    ++k.p[0];
}

/* The input's place under a tap of an output's window, as a flat row; -1 in the padding. */
INLINE i64 input_of(const Window &w, const At &o, const Tap &k) {
    i64 row = o.n;
#pragma unroll
    for (int a = 0; a < 3; a++) {
        int p = o.p[a] * w.stride[a] - w.padding[a] + k.p[a] * w.dilation[a];
        if (p < 0 || p >= w.in[a]) return -1;
        row = row * w.in[a] + p;
    }
    return row;
}

/* The output whose window has an input's place under a tap, as a flat row; -1 if there is none. */
INLINE i64 output_of(const Window &w, const At &in, const Tap &k) {
    i64 row = in.n;
#pragma unroll
    for (int a = 0; a < 3; a++) {
        int p = in.p[a] + w.padding[a] - k.p[a] * w.dilation[a];
        if (p < 0 || p % w.stride[a] != 0 || p / w.stride[a] >= w.out[a]) return -1;
        row = row * w.out[a] + p / w.stride[a];
    }
    return row;
}
#endif
