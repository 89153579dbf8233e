/* The exponential as a polynomial that compilers turn into vector code, and what is made of it. */
#ifndef IST_EXP_H
#define IST_EXP_H

#include "kernel.h"

/* exp(x) within 2 units in the last place, x held to [-87, 88]; a NaN stays one. Reduction and coefficients: Cephes. */
INLINE float exponential(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    /* Adding 1.5 2^23 rounds to an integer n, which then stands in the low bits. */
    float shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return (p * r * r + r + 1) * power;
}

INLINE float logistic(float x) { return 1 / (1 + exponential(-x)); }

/* The same within 3e-6 of itself, for what is kept in bfloat16's 8 bits; the polynomial is 2^r's minimax on [-0.5, 0.5]. */
INLINE float logistic_coarse(float x) {
    float t = x * -1.44269504f;
    t = t > 126.0f ? 126.0f : t;
    t = t < -126.0f ? -126.0f : t;
    float shifted = t + 12582912.0f, r = t - (shifted - 12582912.0f);
    float p = 0.0095701f * r + 0.05591786f;
    p = p * r + 0.24024744f;
    p = p * r + 0.69312179f;
    p = p * r + 0.99999928f;
    uint32_t bits, power;
    memcpy(&power, &shifted, 4);
    memcpy(&bits, &p, 4);
    bits += power << 23;
    memcpy(&p, &bits, 4);
    return 1 / (1 + p);
}

INLINE float logistic_of(int dt, float x) { return dt == IST_BF16 ? logistic_coarse(x) : logistic(x); }

/* The derivative of x logistic(x). */
INLINE float silu_slope(int dt, float x) {
    float s = logistic_of(dt, x);
    return s * (1 + x * (1 - s));
}

#endif
