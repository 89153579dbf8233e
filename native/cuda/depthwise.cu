/* Depthwise convolution over height and width, channels-last, kernels of 3x3 and 5x5: each channel by itself, so it is bound
 * by memory. A thread sums a tile of neighbouring places of a line for a pack of channels, and a value that was read once
 * serves all taps that lie over it. Weights are [C,K,K]; a block has its own in shared memory by tap, float32. */
#include "kernel.cuh"
#include "window.cuh"

#define TILE 4
/* Packs of channels and tiles of a block. */
#define PACKS 16
#define TILES (THREADS / PACKS)

struct Tile {
    i64 n;
    int row, column;
};

/* The tile of that number in images of [height, width]. */
INLINE Tile tile_at(i64 i, int height, int width) {
    int across = (width + TILE - 1) / TILE;
    Tile t;
    t.column = (int)(i % across) * TILE;
    i /= across;
    t.row = (int)(i % height);
    t.n = i / height;
    return t;
}

INLINE i64 tiles_of(const Window &w, const int *size) {
    return (i64)w.batch * size[1] * ((size[2] + TILE - 1) / TILE);
}

/* The block's weights by tap, V channels of PACKS packs; zeros beside the last channel. */
template <class T, int K, int V> INLINE void share_weights(float (*shared)[PACKS * V], const T *weights, i64 first, int channels) {
    for (int i = threadIdx.y * PACKS + threadIdx.x; i < K * K * PACKS * V; i += THREADS) {
        int tap = i % (K * K), c = i / (K * K);
        shared[tap][c] = first + c < channels ? to_float(weights[(first + c) * (K * K) + tap]) : 0;
    }
    __syncthreads();
}

template <class T, int V> INLINE void add_product(float *sum, const Pack<T, V> &x, const float *w) {
#pragma unroll
    for (int v = 0; v < V; v++) sum[v] += to_float(x.v[v]) * w[v];
}

/* Blocks: x along packs of channels, y along tiles. */
template <class T, int K, int S> INLINE void depthwise(const Window &w, const T *x, const T *weights, T *y) {
    const int V = Widest<T>::V;
    __shared__ float shared[K * K][PACKS * V];
    i64 first = (i64)blockIdx.x * PACKS * V, c = first + (i64)threadIdx.x * V;
    share_weights<T, K, V>(shared, weights, first, w.channels);
    if (c >= w.channels) return;
    i64 all = tiles_of(w, w.out);
    for (i64 i = (i64)blockIdx.y * TILES + threadIdx.y; i < all; i += (i64)gridDim.y * TILES) {
        Tile t = tile_at(i, w.out[1], w.out[2]);
        float sum[TILE][V];
#pragma unroll
        for (int j = 0; j < TILE; j++)
#pragma unroll
            for (int v = 0; v < V; v++) sum[j][v] = 0;
#pragma unroll 1
        for (int kh = 0; kh < K; kh++) {
            int row = t.row * S - w.padding[1] + kh, column = t.column * S - w.padding[2];
            if (row < 0 || row >= w.in[1]) continue;
            const T *at = x + ((t.n * w.in[1] + row) * w.in[2] + column) * w.channels + c;
#pragma unroll
            for (int j = 0; j < (TILE - 1) * S + K; j++, at += w.channels) {
                if (column + j < 0 || column + j >= w.in[2]) continue;
                Pack<T, V> a = pack_at<T, V>(at, 0);
#pragma unroll
                for (int o = 0; o < TILE; o++)
                    if (j - o * S >= 0 && j - o * S < K) add_product<T, V>(sum[o], a, &shared[kh * K + j - o * S][threadIdx.x * V]);
            }
        }
#pragma unroll
        for (int o = 0; o < TILE; o++) {
            if (t.column + o >= w.out[2]) break;
            Pack<T, V> r;
#pragma unroll
            for (int v = 0; v < V; v++) r.v[v] = from_float<T>(sum[o][v]);
            put_pack(y, ((t.n * w.out[1] + t.row) * w.out[2] + t.column + o) * w.channels + c, r);
        }
    }
}

/* Each place of dx gathers from the outputs whose windows cover it. Blocks as above. */
template <class T, int K, int S> INLINE void depthwise_data(const Window &w, const T *dy, const T *weights, T *dx) {
    const int V = Widest<T>::V;
    __shared__ float shared[K * K][PACKS * V];
    i64 first = (i64)blockIdx.x * PACKS * V, c = first + (i64)threadIdx.x * V;
    share_weights<T, K, V>(shared, weights, first, w.channels);
    if (c >= w.channels) return;
    i64 all = tiles_of(w, w.in);
    for (i64 i = (i64)blockIdx.y * TILES + threadIdx.y; i < all; i += (i64)gridDim.y * TILES) {
        Tile t = tile_at(i, w.in[1], w.in[2]);
        float sum[TILE][V];
#pragma unroll
        for (int j = 0; j < TILE; j++)
#pragma unroll
            for (int v = 0; v < V; v++) sum[j][v] = 0;
        /* The first output that the tile's first place may meet, and the tap by which. */
        int reach = t.column + w.padding[2] - (K - 1), column = reach > 0 ? (reach + S - 1) / S : 0;
        int tap = t.column + w.padding[2] - column * S;
#pragma unroll 1
        for (int kh = 0; kh < K; kh++) {
            int row = t.row + w.padding[1] - kh;
            if (row < 0 || row % S != 0 || row / S >= w.out[1]) continue;
            const T *line = dy + (t.n * w.out[1] + row / S) * w.out[2] * w.channels + c;
#pragma unroll
            for (int j = 0; j < (TILE + K - 2) / S + 1; j++) {
                if (column + j >= w.out[2]) continue;
                Pack<T, V> a = pack_at<T, V>(line, (i64)(column + j) * w.channels);
#pragma unroll
                for (int o = 0; o < TILE; o++) {
                    int kw = tap + o - j * S;
                    if (kw >= 0 && kw < K) add_product<T, V>(sum[o], a, &shared[kh * K + kw][threadIdx.x * V]);
                }
            }
        }
#pragma unroll
        for (int o = 0; o < TILE; o++) {
            if (t.column + o >= w.in[2]) break;
            Pack<T, V> r;
#pragma unroll
            for (int v = 0; v < V; v++) r.v[v] = from_float<T>(sum[o][v]);
            put_pack(dx, ((t.n * w.in[1] + t.row) * w.in[2] + t.column + o) * w.channels + c, r);
        }
    }
}

#define PAIR 2
#define LANES 32
#define LINES (THREADS / LANES)

/* The sums of one of gridDim.y shares of the outputs: partial[share, tap, channel]. Blocks: x along 32 pairs of channels. */
template <class T, int K, int S> INLINE void depthwise_weights(const Window &w, const T *x, const T *dy, float *partial) {
    __shared__ float parts[LINES][LANES * PAIR];
    i64 c = ((i64)blockIdx.x * LANES + threadIdx.x) * PAIR, all = tiles_of(w, w.out);
    bool mine = c < w.channels;
    float sum[K][K][PAIR];
#pragma unroll
    for (int i = 0; i < K * K * PAIR; i++) (&sum[0][0][0])[i] = 0;
    for (i64 i = (i64)blockIdx.y * LINES + threadIdx.y; mine && i < all; i += (i64)gridDim.y * LINES) {
        Tile t = tile_at(i, w.out[1], w.out[2]);
        float d[TILE][PAIR];
#pragma unroll
        for (int o = 0; o < TILE; o++) {
            bool there = t.column + o < w.out[2];
            Pack<T, PAIR> a;
            if (there) a = pack_at<T, PAIR>(dy, ((t.n * w.out[1] + t.row) * w.out[2] + t.column + o) * w.channels + c);
#pragma unroll
            for (int v = 0; v < PAIR; v++) d[o][v] = there ? to_float(a.v[v]) : 0;
        }
        int column = t.column * S - w.padding[2];
#pragma unroll
        for (int kh = 0; kh < K; kh++) {
            int row = t.row * S - w.padding[1] + kh;
            if (row < 0 || row >= w.in[1]) continue;
            const T *line = x + (t.n * w.in[1] + row) * w.in[2] * w.channels + c;
#pragma unroll
            for (int j = 0; j < (TILE - 1) * S + K; j++) {
                if (column + j < 0 || column + j >= w.in[2]) continue;
                Pack<T, PAIR> a = pack_at<T, PAIR>(line, (i64)(column + j) * w.channels);
#pragma unroll
                for (int o = 0; o < TILE; o++)
                    if (j - o * S >= 0 && j - o * S < K)
#pragma unroll
                        for (int v = 0; v < PAIR; v++) sum[kh][j - o * S][v] += d[o][v] * to_float(a.v[v]);
            }
        }
    }
#pragma unroll
    for (int tap = 0; tap < K * K; tap++) {
        __syncthreads();
#pragma unroll
        for (int v = 0; v < PAIR; v++) parts[threadIdx.y][threadIdx.x * PAIR + v] = sum[tap / K][tap % K][v];
        __syncthreads();
        if (threadIdx.y >= PAIR) continue;
        i64 channel = (i64)blockIdx.x * LANES * PAIR + threadIdx.y * LANES + threadIdx.x;
        float s = 0;
        for (int l = 0; l < LINES; l++) s += parts[l][threadIdx.y * LANES + threadIdx.x];
        if (channel < w.channels) partial[((i64)blockIdx.y * K * K + tap) * w.channels + channel] = s;
    }
}

/* dw[channel, tap], the shares in their order. */
KERNEL depthwise_finish(const float *partial, float *dw, i64 shares, i64 taps, i64 channels) {
    EACH(i, taps * channels) {
        float s = 0;
        for (i64 p = 0; p < shares; p++) s += partial[p * taps * channels + i];
        dw[i % channels * taps + i / channels] = s;
    }
}
HOST_KERNEL(depthwise_finish)

#define DEPTHWISE(S, T, K, STEP) \
    KERNEL depthwise_##S##_k##K##s##STEP(Window w, const T *x, const T *weights, T *y) { \
        depthwise<T, K, STEP>(w, x, weights, y); \
    } \
    HOST_KERNEL_SYNC(depthwise_##S##_k##K##s##STEP) \
    KERNEL depthwise_data_##S##_k##K##s##STEP(Window w, const T *dy, const T *weights, T *dx) { \
        depthwise_data<T, K, STEP>(w, dy, weights, dx); \
    } \
    HOST_KERNEL_SYNC(depthwise_data_##S##_k##K##s##STEP) \
    KERNEL depthwise_weights_##S##_k##K##s##STEP(Window w, const T *x, const T *dy, float *partial) { \
        depthwise_weights<T, K, STEP>(w, x, dy, partial); \
    } \
    HOST_KERNEL_SYNC(depthwise_weights_##S##_k##K##s##STEP)
#define EVERY_DEPTHWISE(S, T) DEPTHWISE(S, T, 3, 1) DEPTHWISE(S, T, 3, 2) DEPTHWISE(S, T, 5, 1) DEPTHWISE(S, T, 5, 2)
EVERY_TYPE(EVERY_DEPTHWISE)
