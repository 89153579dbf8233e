/* Chooses, once, the build of the kernels that this processor can run; and keeps the text of the last failure. */
#include "isthmus.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum isa { PLAIN, AVX2, AVX512 };

static const char *const names[] = {"plain", "avx2", "avx512"};

static enum isa supported(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PLAIN;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return AVX512;
    return AVX2;
#else
    return PLAIN;
#endif
}

/* The best that the processor has, or less if ISTHMUS_ISA says so. */
static enum isa chosen(void) {
    enum isa best = supported();
    const char *asked = getenv("ISTHMUS_ISA");
    for (int i = PLAIN; asked && i <= AVX512; i++)
        if (strcmp(asked, names[i]) == 0 && i < (int)best) return (enum isa)i;
    return best;
}

IST_API const char *ist_isa(void) { return names[chosen()]; }

/* Each public name is an indirect function: the loader asks pick_* when the name is looked up. */
#define IST_KERNEL(name) \
    extern __typeof__(ist_##name) ist_##name##_avx512, ist_##name##_avx2, ist_##name##_plain; \
    __attribute__((used)) static __typeof__(ist_##name) *pick_##name(void) { \
        switch (chosen()) { \
        case AVX512: return ist_##name##_avx512; \
        case AVX2: return ist_##name##_avx2; \
        default: return ist_##name##_plain; \
        } \
    } \
    __typeof__(ist_##name) ist_##name __attribute__((ifunc("pick_" #name)));
#include "kernels.def"

static _Thread_local char last_error[256] = "no error";

IST_API const char *ist_last_error(void) { return last_error; }

__attribute__((format(printf, 2, 3))) int ist_fail(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return status;
}
