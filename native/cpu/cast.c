/* Between element types. */
#include "kernel.h"

/* Subnormals of half precision are reached by one float32 multiplication or addition, which rounds as it should. */
INLINE float f16_to_f32(uint16_t h) {
    uint32_t bits = (uint32_t)(h & 0x7fffu) << 13, sign = (uint32_t)(h & 0x8000u) << 16;
    float scaled;
    memcpy(&scaled, &bits, 4);
    scaled *= 0x1p112f;
    uint32_t out;
    memcpy(&out, &scaled, 4);
    if ((h & 0x7c00u) == 0x7c00u) out = 0x7f800000u | bits;
    out |= sign;
    float f;
    memcpy(&f, &out, 4);
    return f;
}

INLINE uint16_t f32_to_f16(float f) {
    uint32_t x;
    memcpy(&x, &f, 4);
    uint32_t sign = (x >> 16) & 0x8000u, a = x & 0x7fffffffu;
    uint32_t normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1)) >> 13;
    float magnitude, magic = 0.5f;
    memcpy(&magnitude, &a, 4);
    magnitude += magic;
    uint32_t small;
    memcpy(&small, &magnitude, 4);
    small -= 0x3f000000u;
    uint32_t out = a < 0x38800000u ? small : normal;
    if (a >= 0x477ff000u) out = 0x7c00u;
    if (a > 0x7f800000u) out = 0x7e00u | ((a >> 13) & 0x3ffu);
    return (uint16_t)(out | sign);
}

INLINE float read(int dt, const void *p, int64_t i) {
    return dt == IST_F16 ? f16_to_f32(((const uint16_t *)p)[i]) : load(dt, p, i);
}

INLINE void write(int dt, void *p, int64_t i, float v) {
    if (dt == IST_F16) ((uint16_t *)p)[i] = f32_to_f16(v);
    else store(dt, p, i, v);
}

INLINE void convert_range(int from_type, const void *x, int to_type, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) write(to_type, y, i, read(from_type, x, i));
}

INLINE void convert_to(int from_type, const void *x, int to_type, void *y, int64_t from, int64_t to) {
    if (to_type == IST_F32) convert_range(from_type, x, IST_F32, y, from, to);
    else if (to_type == IST_BF16) convert_range(from_type, x, IST_BF16, y, from, to);
    else convert_range(from_type, x, IST_F16, y, from, to);
}

static void convert_any(int from_type, const void *x, int to_type, void *y, int64_t from, int64_t to) {
    if (from_type == IST_F32) convert_to(IST_F32, x, to_type, y, from, to);
    else if (from_type == IST_BF16) convert_to(IST_BF16, x, to_type, y, from, to);
    else convert_to(IST_F16, x, to_type, y, from, to);
}

int KERNEL(convert)(int from_type, const void *x, int to_type, void *y, int64_t n) {
    REQUIRE_SIZE(n);
    REQUIRE(from_type >= IST_F32 && from_type <= IST_F16, "%s: no element type %d", __func__, from_type);
    REQUIRE(to_type >= IST_F32 && to_type <= IST_F16, "%s: no element type %d", __func__, to_type);
    PARALLEL(n, n, GRAIN, convert_any(from_type, x, to_type, y, from, to));
    return IST_OK;
}

INLINE void fill_range(int dt, void *y, float value, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, y, i, value);
}

int KERNEL(fill)(int dtype, void *y, float value, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, fill_range, y, value, from, to));
    return IST_OK;
}
