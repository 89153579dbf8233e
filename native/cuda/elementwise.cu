/* Element by element: activations, sums, dropout, changes of type. In place allowed. */
#include "kernel.cuh"

struct Relu {
    INLINE_MEMBER float operator()(float x, i64) const { return x < 0 ? 0 : x; }
};
struct ReluBackward {
    INLINE_MEMBER float operator()(float y, float dy) const { return y > 0 ? dy : 0; }
};
struct Add {
    INLINE_MEMBER float operator()(float a, float b) const { return a + b; }
};

struct Multiply {
    float factor;
    INLINE_MEMBER float operator()(float x, i64) const { return factor * x; }
};
struct Sigmoid {
    INLINE_MEMBER float operator()(float x, i64) const { return sigmoid_of(x); }
};
struct SigmoidBackward {
    INLINE_MEMBER float operator()(float y, float dy) const { return dy * y * (1 - y); }
};
struct Silu {
    INLINE_MEMBER float operator()(float x, i64) const { return x * sigmoid_of(x); }
};
struct SiluBackward {
    INLINE_MEMBER float operator()(float x, float dy) const {
        return dy * silu_slope(x);
    }
};

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014). */
INLINE u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

#define GOLDEN 0x9E3779B97F4A7C15ull

/* Keeps an element or not by seed, step, op and place alone, so that nothing is stored for the backward pass. */
struct Dropout {
    u64 key, threshold;
    float scale;
    INLINE_MEMBER float operator()(float x, i64 i) const {
        return mix(key + (u64)i * GOLDEN) >> 40 >= threshold ? x * scale : 0;
    }
};

/* The same for whole samples of `size` elements: stochastic depth. */
struct DropSample {
    Dropout of;
    i64 size;
    INLINE_MEMBER float operator()(float x, i64 i) const { return of(x, i / size); }
};

INLINE Dropout dropout_of(const i64 *state, int op, float p) {
    Dropout d;
    d.key = mix((u64)state[0] ^ mix((u64)state[1] * GOLDEN + (u64)(i64)op));
    d.threshold = (u64)ceil((double)p * 16777216.0);
    d.scale = 1 / (1 - p);
    return d;
}

#define ELEMENTWISE(S, T) \
    KERNEL relu_##S(const T *x, T *y, i64 n) { map(x, y, n, Relu()); } \
    HOST_KERNEL(relu_##S) \
    KERNEL relu_backward_##S(const T *y, const T *dy, T *dx, i64 n) { map(y, dy, dx, n, ReluBackward()); } \
    HOST_KERNEL(relu_backward_##S) \
    KERNEL add_##S(const T *a, const T *b, T *y, i64 n) { map(a, b, y, n, Add()); } \
    HOST_KERNEL(add_##S) \
    KERNEL dropout_##S(const T *x, T *y, float p, const i64 *state, int op, i64 n) { \
        map(x, y, n, dropout_of(state, op, p)); \
    } \
    HOST_KERNEL(dropout_##S) \
    KERNEL multiply_##S(const T *x, float factor, T *y, i64 n) { \
        Multiply m = {factor}; \
        map(x, y, n, m); \
    } \
    HOST_KERNEL(multiply_##S) \
    KERNEL sigmoid_##S(const T *x, T *y, i64 n) { map(x, y, n, Sigmoid()); } \
    HOST_KERNEL(sigmoid_##S) \
    KERNEL sigmoid_backward_##S(const T *y, const T *dy, T *dx, i64 n) { map(y, dy, dx, n, SigmoidBackward()); } \
    HOST_KERNEL(sigmoid_backward_##S) \
    KERNEL silu_##S(const T *x, T *y, i64 n) { map(x, y, n, Silu()); } \
    HOST_KERNEL(silu_##S) \
    KERNEL silu_backward_##S(const T *x, const T *dy, T *dx, i64 n) { map(x, dy, dx, n, SiluBackward()); } \
    HOST_KERNEL(silu_backward_##S) \
    KERNEL stochastic_depth_##S(const T *x, T *y, float p, const i64 *state, int op, i64 n, i64 size) { \
        DropSample d = {dropout_of(state, op, p), size}; \
        map(x, y, n * size, d); \
    } \
    HOST_KERNEL(stochastic_depth_##S) \
    KERNEL fill_##S(T *y, float value, i64 n) { \
        EACH(i, n) y[i] = from_float<T>(value); \
    } \
    HOST_KERNEL(fill_##S)
EVERY_TYPE(ELEMENTWISE)

#define CONVERT(S, T) CONVERT_TO(S, T, f32, float) CONVERT_TO(S, T, f16, f16) CONVERT_TO(S, T, bf16, bf16)
#define CONVERT_TO(S, T, R, U) \
    KERNEL convert_##S##_##R(const T *x, U *y, i64 n) { \
        EACH(i, n) y[i] = from_float<U>(to_float(x[i])); \
    } \
    HOST_KERNEL(convert_##S##_##R)
EVERY_TYPE(CONVERT)
