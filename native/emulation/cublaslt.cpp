/* cuBLASLt on the host: descriptions are checked, products are loops. */
#include "emulation.h"
#include <cstring>
#include <memory>
#include <set>
#include <vector>

namespace {
enum { OK = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { NO_EPILOGUE = 1, BIAS = 4, RELU_BIAS = 6, BIAS_GRADIENT = 512 };
enum { R_32F = 0, R_16F = 2, R_16BF = 14 };
enum { COMPUTE_32F = 68, FAST_TF32 = 77 };

struct Desc {
    int compute = 0, transposed[2] = {0, 0}, epilogue = 1, bias_type = -1;
    uint64_t bias = 0;
};
struct Layout {
    int type = 0;
    int64_t rows = 0, columns = 0, leading = 0;
};
struct Preference {
    size_t workspace = 0;
    uint32_t aligned[4] = {256, 256, 256, 256}; /* as of the real one: A, B, C, D */
};
/* cublasLtMatmulHeuristicResult_t */
struct Result {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
static_assert(sizeof(Result) == 96, "as in cublasLt.h");
const uint64_t MAGIC = 0x1511;

std::set<void *> handles, descs, layouts, preferences;

emulation::Type type_of(int t) { return t == R_32F ? emulation::F32 : t == R_16F ? emulation::F16 : emulation::BF16; }
bool known(int t) { return t == R_32F || t == R_16F || t == R_16BF; }

/* m, n, k of d = op(a) op(b), or false. */
bool fits(const Desc &d, const Layout &a, const Layout &b, const Layout &c, int64_t *m, int64_t *n, int64_t *k) {
    *m = d.transposed[0] ? a.columns : a.rows;
    *k = d.transposed[0] ? a.rows : a.columns;
    *n = d.transposed[1] ? b.rows : b.columns;
    int64_t deep = d.transposed[1] ? b.columns : b.rows;
    return *k == deep && c.rows == *m && c.columns == *n && a.type == b.type;
}

size_t bytes(const Layout &l) { return (size_t)((l.columns - 1) * l.leading + l.rows) * emulation::size_of(type_of(l.type)); }

/* op(x) as row-major float32. */
std::vector<float> rows_of(const Layout &l, bool transposed, const void *p) {
    int64_t rows = transposed ? l.columns : l.rows, columns = transposed ? l.rows : l.columns;
    std::vector<float> v((size_t)(rows * columns));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            v[(size_t)(r * columns + c)] = emulation::load(type_of(l.type), p, transposed ? r * l.leading + c : c * l.leading + r);
    return v;
}

/* What tensor cores make of float32: eleven bits of it, to nearest. */
void round_to_tf32(std::vector<float> &v) {
    for (float &f : v) {
        uint32_t x;
        memcpy(&x, &f, 4);
        if ((x & 0x7f800000u) != 0x7f800000u) x = (x + 0xfffu + (x >> 13 & 1)) & ~0x1fffu;
        memcpy(&f, &x, 4);
    }
}

int product(const Desc &d, const Layout &a, const Layout &b, const Layout &c, const void *pa, const void *pb, void *pc) {
    int64_t m, n, k;
    fits(d, a, b, c, &m, &n, &k);
    std::vector<float> fa = rows_of(a, d.transposed[0], pa), fb = rows_of(b, d.transposed[1], pb), fc((size_t)(m * n));
    if (d.compute == FAST_TF32 && a.type == R_32F) {
        round_to_tf32(fa);
        round_to_tf32(fb);
    }
    emulation::multiply(fa.data(), fb.data(), fc.data(), m, n, k);
    for (int64_t j = 0; d.epilogue == BIAS_GRADIENT && j < n; j++) {
        float sum = 0;
        for (int64_t l = 0; l < k; l++) sum += fb[(size_t)(l * n + j)];
        emulation::store(type_of(d.bias_type), (void *)d.bias, j, sum);
    }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float bias = d.epilogue == BIAS || d.epilogue == RELU_BIAS ? emulation::load(type_of(d.bias_type), (void *)d.bias, i) : 0;
            float v = fc[(size_t)(i * n + j)] + bias;
            emulation::store(type_of(c.type), pc, j * c.leading + i, d.epilogue == RELU_BIAS && v < 0 ? 0 : v);
        }
    return 0;
}
} // namespace

#define NEEDS(set, p) \
    LOCKED; \
    if (!(set).count(p)) return INVALID_VALUE
#define CREATE(set, p, x) \
    LOCKED; \
    *(p) = x; \
    (set).insert(*(p)); \
    return OK
#define DESTROY(set, p, T) \
    NEEDS(set, p); \
    (set).erase(p); \
    delete (T *)(p); \
    return OK

API const char *cublasLtGetStatusString(int status) {
    switch (status) {
        case OK: return "the operation completed successfully";
        case NOT_INITIALIZED: return "the library was not initialized";
        case INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
        case EXECUTION_FAILED: return "the program failed to execute";
        case NOT_SUPPORTED: return "the functionality requested is not supported";
        default: return "unknown status";
    }
}
API size_t cublasLtGetVersion() { return 130000; }
API int cublasLtCreate(void **handle) {
    if (!emulation::has_context()) return NOT_INITIALIZED;
    CREATE(handles, handle, new char());
}
API int cublasLtDestroy(void *handle) { DESTROY(handles, handle, char); }
API int cublasLtMatmulDescCreate(void **desc, int compute, int scale) {
    if ((compute != COMPUTE_32F && compute != FAST_TF32) || scale != R_32F) return NOT_SUPPORTED;
    CREATE(descs, desc, (new Desc{compute}));
}
API int cublasLtMatmulDescDestroy(void *desc) { DESTROY(descs, desc, Desc); }
API int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t n) {
    NEEDS(descs, desc);
    auto *d = (Desc *)desc;
    if (n != (attribute == 8 ? 8u : 4u)) return INVALID_VALUE;
    switch (attribute) {
        case 3: case 4: memcpy(&d->transposed[attribute - 3], value, 4); return OK;
        case 7: memcpy(&d->epilogue, value, 4); return d->epilogue == NO_EPILOGUE || d->epilogue == BIAS || d->epilogue == RELU_BIAS || d->epilogue == BIAS_GRADIENT ? OK : NOT_SUPPORTED;
        case 8: memcpy(&d->bias, value, 8); return OK;
        case 26: memcpy(&d->bias_type, value, 4); return OK;
        default: return INVALID_VALUE;
    }
}
API int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    if (!known(type) || rows < 1 || columns < 1 || leading < (int64_t)rows) return INVALID_VALUE;
    CREATE(layouts, layout, (new Layout{type, (int64_t)rows, (int64_t)columns, leading}));
}
API int cublasLtMatrixLayoutDestroy(void *layout) { DESTROY(layouts, layout, Layout); }
API int cublasLtMatmulPreferenceCreate(void **preference) { CREATE(preferences, preference, new Preference()); }
API int cublasLtMatmulPreferenceDestroy(void *preference) { DESTROY(preferences, preference, Preference); }
API int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t n) {
    NEEDS(preferences, preference);
    auto *p = (Preference *)preference;
    if (attribute == 1 && n == 8) memcpy(&p->workspace, value, 8);
    else if (attribute >= 5 && attribute <= 8 && n == 4) memcpy(&p->aligned[attribute - 5], value, 4);
    else return INVALID_VALUE;
    return OK;
}
API int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference,
                                       int most, void *results, int *count) {
    NEEDS(handles, handle);
    if (!descs.count(desc) || !layouts.count(a) || !layouts.count(b) || !layouts.count(c) || !layouts.count(d) ||
        !preferences.count(preference) || most < 1)
        return INVALID_VALUE;
    int64_t m, n, k;
    *count = 0;
    Desc what = *(Desc *)desc;
    if (!fits(what, *(Layout *)a, *(Layout *)b, *(Layout *)d, &m, &n, &k)) return INVALID_VALUE;
    /* A bias has the result's type. */
    if (what.epilogue != NO_EPILOGUE && what.bias_type != ((Layout *)d)->type) return NOT_SUPPORTED;
    auto *r = (Result *)results;
    memset(r, 0, sizeof *r);
    r->algorithm[0] = MAGIC;
    for (int i = 0; i < 4; i++) r->algorithm[1 + i] = ((Preference *)preference)->aligned[i];
    *count = 1;
    return OK;
}
API int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a, void *la, const void *b, void *lb,
                       const void *beta, const void *c, void *lc, void *d, void *ld, const void *algorithm, void *,
                       size_t, void *stream) {
    NEEDS(handles, handle);
    if (!descs.count(desc) || !layouts.count(la) || !layouts.count(lb) || !layouts.count(lc) || !layouts.count(ld)) return INVALID_VALUE;
    if (*(const float *)alpha != 1 || *(const float *)beta != 0 || c != d || lc != ld) return NOT_SUPPORTED;
    if (!algorithm || *(const uint64_t *)algorithm != MAGIC) return INVALID_VALUE;
    Desc what = *(Desc *)desc;
    Layout x = *(Layout *)la, y = *(Layout *)lb, z = *(Layout *)ld;
    int64_t m, n, k;
    if (!fits(what, x, y, z, &m, &n, &k)) return INVALID_VALUE;
    if (!emulation::is_device((uint64_t)a, bytes(x)) || !emulation::is_device((uint64_t)b, bytes(y)) || !emulation::is_device((uint64_t)d, bytes(z)))
        return INVALID_VALUE;
    const uint64_t *aligned = (const uint64_t *)algorithm + 1;
    if ((uint64_t)a % aligned[0] || (uint64_t)b % aligned[1] || (uint64_t)d % aligned[3]) return INVALID_VALUE;
    int64_t vector = what.epilogue == BIAS || what.epilogue == RELU_BIAS ? m : what.epilogue == BIAS_GRADIENT ? n : 0;
    if (vector && (!known(what.bias_type) || !emulation::is_device(what.bias, (size_t)vector * emulation::size_of(type_of(what.bias_type)))))
        return INVALID_VALUE;
    return emulation::enqueue(stream, [=] { return product(what, x, y, z, a, b, d); }) == 0 ? OK : EXECUTION_FAILED;
}
