/* The driver's contexts, memory and modules on the host. */
#include "emulation.h"
#include "host_cuda.h"
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <vector>

std::recursive_mutex emulation::lock;

namespace emulation {
int flush_all();
bool capturing();
int launch_status();
int status();
void recover();
} // namespace emulation

namespace {
enum {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, LEAK = 999
};

const size_t ALIGNMENT = 512;
bool started;
int shares;
thread_local bool current;
std::map<uint64_t, size_t> device_blocks, pinned_blocks;
size_t used;
char context;

struct Module {
    std::string image;
};
std::set<Module *> modules;

long long limit_mib;

size_t total() {
    if (limit_mib > 0) return (size_t)limit_mib << 20;
    const char *mib = getenv("ISTHMUS_EMULATION_MIB");
    return (mib ? strtoull(mib, nullptr, 10) : 8192) << 20;
}

bool inside(const std::map<uint64_t, size_t> &blocks, uint64_t p, size_t n) {
    auto it = blocks.upper_bound(p);
    if (it == blocks.begin()) return false;
    --it;
    return p + n <= it->first + it->second;
}
} // namespace

bool emulation::is_device(uint64_t p, size_t n) { return inside(device_blocks, p, n); }
bool emulation::has_context() { return current && shares > 0; }
bool hostcuda::is_live(const void *p) { return inside(device_blocks, (uint64_t)p, 1); }

#define NEEDS_CONTEXT \
    LOCKED; \
    if (!emulation::has_context()) return INVALID_CONTEXT

API int cuInit(unsigned flags) {
    LOCKED;
    if (flags) return INVALID_VALUE;
    const char *lose = started ? nullptr : getenv("ISTHMUS_EMULATION_LOSE_AT");
    if (lose) emulation::lose_at(atoll(lose));
    started = true;
    return OK;
}
API int cuDriverGetVersion(int *version) {
    *version = 13000;
    return OK;
}
API int cuDeviceGetCount(int *n) {
    LOCKED;
    if (!started) return NOT_INITIALIZED;
    *n = 1;
    return OK;
}
API int cuDeviceGet(int *device, int i) {
    LOCKED;
    if (!started) return NOT_INITIALIZED;
    if (i != 0) return INVALID_DEVICE;
    *device = 0;
    return OK;
}
API int cuDeviceGetName(char *name, int most, int device) {
    if (device != 0) return INVALID_DEVICE;
    strncpy(name, "CUDA emulation on the host", (size_t)most);
    return OK;
}
API int cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (device != 0) return INVALID_DEVICE;
    if (attribute <= -1000000) {
        limit_mib = -1000000 - attribute;
        return OK;
    }
    if (attribute <= -1000) {
        emulation::lose_at(-1000 - attribute);
        return OK;
    }
    if (attribute < 0) {
        *value = emulation::counted(-1 - attribute);
        return *value < 0 ? INVALID_VALUE : OK;
    }
    switch (attribute) {
        case 75: *value = 9; return OK; /* compute capability 9.0 */
        case 76: *value = 0; return OK;
        case 16: *value = 2; return OK; /* multiprocessors: few, so that grids stay small */
        default: return INVALID_VALUE;
    }
}
API int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    if (device != 0) return INVALID_DEVICE;
    *bytes = total();
    return OK;
}
API int cuDevicePrimaryCtxRetain(void **c, int device) {
    LOCKED;
    if (!started) return NOT_INITIALIZED;
    if (device != 0) return INVALID_DEVICE;
    shares++;
    *c = &context;
    return OK;
}
API int cuDevicePrimaryCtxRelease_v2(int device) {
    LOCKED;
    if (device != 0 || shares == 0) return INVALID_DEVICE;
    /* The last share ends the context: what is still allocated then was forgotten. */
    if (--shares > 0) return OK;
    bool lost = emulation::status() != OK;
    if (lost) {
        /* All goes with a context that cannot be used any more. */
        for (auto *blocks : {&device_blocks, &pinned_blocks}) {
            for (auto &[p, n] : *blocks) free((void *)p);
            blocks->clear();
        }
        for (Module *m : modules) delete m;
        modules.clear();
        used = 0;
        emulation::recover();
        return OK;
    }
    return device_blocks.empty() && pinned_blocks.empty() && modules.empty() ? OK : LEAK;
}
API int cuCtxSetCurrent(void *c) {
    LOCKED;
    if (c != nullptr && (c != &context || shares == 0)) return INVALID_CONTEXT;
    current = c != nullptr;
    return OK;
}
API int cuMemGetInfo_v2(size_t *free_bytes, size_t *all) {
    NEEDS_CONTEXT;
    *all = total();
    *free_bytes = total() - used;
    return OK;
}
namespace {
int allocate(std::map<uint64_t, size_t> &blocks, size_t n, uint64_t *p) {
    void *q = nullptr;
    if (n == 0) return INVALID_VALUE;
    if (posix_memalign(&q, ALIGNMENT, n) != 0) return OUT_OF_MEMORY;
    memset(q, 0xff, n); /* real memory holds anything; this is NaN in every type */
    blocks[*p = (uint64_t)q] = n;
    return OK;
}
int release(std::map<uint64_t, size_t> &blocks, uint64_t p) {
    auto it = blocks.find(p);
    if (it == blocks.end()) return INVALID_VALUE; /* never allocated, or freed before */
    memset((void *)p, 0xff, it->second);
    free((void *)p);
    blocks.erase(it);
    return OK;
}
} // namespace
namespace {
/* What a copy finds in pinned memory must be what was there when it was asked for. */
uint64_t digest(const void *p, size_t n) {
    uint64_t h = n;
    const auto *bytes = (const unsigned char *)p;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15ull;
        h ^= h >> 29;
    }
    for (size_t i = n / 8 * 8; i < n; i++) h = (h ^ bytes[i]) * 0x9E3779B97F4A7C15ull;
    return h;
}
}
API int cuMemAlloc_v2(uint64_t *p, size_t n) {
    NEEDS_CONTEXT;
    if (emulation::capturing()) return 900;
    emulation::count(emulation::ALLOCATIONS);
    if (emulation::status() != OK) return emulation::status();
    if (used + n > total()) return OUT_OF_MEMORY;
    int status = allocate(device_blocks, n, p);
    if (status == OK) used += n;
    return status;
}
API int cuMemFree_v2(uint64_t p) {
    NEEDS_CONTEXT;
    int status = emulation::flush_all(); /* as the real one, it waits for the device */
    if (status != OK) return status;
    auto it = device_blocks.find(p);
    if (it != device_blocks.end()) used -= it->second;
    return release(device_blocks, p);
}
API int cuMemHostAlloc(void **p, size_t n, unsigned) {
    NEEDS_CONTEXT;
    if (emulation::capturing()) return 900;
    emulation::count(emulation::ALLOCATIONS);
    if (emulation::status() != OK) return emulation::status();
    return allocate(pinned_blocks, n, (uint64_t *)p);
}
API int cuMemFreeHost(void *p) {
    NEEDS_CONTEXT;
    int status = emulation::flush_all();
    return status != OK ? status : release(pinned_blocks, (uint64_t)p);
}
API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, void *stream) {
    NEEDS_CONTEXT;
    if (!emulation::is_device(to, n) || !from) return INVALID_VALUE;
    emulation::count(emulation::COPIES_IN);
    if (inside(pinned_blocks, (uint64_t)from, n)) {
        /* A copy in a graph takes what is there at each launch. */
        bool captured = emulation::is_captured(stream);
        uint64_t before = captured ? 0 : digest(from, n);
        return emulation::enqueue(stream, [=] {
            if (!inside(pinned_blocks, (uint64_t)from, n) || !emulation::is_device(to, n)) return (int)ILLEGAL_ADDRESS;
            if (!captured && digest(from, n) != before) return (int)emulation::OVERWRITTEN;
            memcpy((void *)to, from, n);
            return (int)OK;
        }, {{to, n, true}, {(uint64_t)from, n, false}});
    }
    if (emulation::is_captured(stream)) return INVALID_VALUE; /* a graph would read memory that may be gone */
    /* Memory that is not pinned has been read when the call returns. */
    std::string copy((const char *)from, n);
    return emulation::enqueue(stream, [=] {
        if (!emulation::is_device(to, n)) return (int)ILLEGAL_ADDRESS;
        memcpy((void *)to, copy.data(), n);
        return (int)OK;
    }, {{to, n, true}});
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, void *stream) {
    NEEDS_CONTEXT;
    if (!emulation::is_device(from, n) || !to) return INVALID_VALUE;
    emulation::count(emulation::COPIES_OUT);
    return emulation::enqueue(stream, [=] {
        if (!emulation::is_device(from, n)) return (int)ILLEGAL_ADDRESS;
        memcpy(to, (void *)from, n);
        return (int)OK;
    }, {{from, n, false}, {(uint64_t)to, n, true}});
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void *stream) {
    NEEDS_CONTEXT;
    if (!emulation::is_device(from, n) || !emulation::is_device(to, n)) return INVALID_VALUE;
    return emulation::enqueue(stream, [=] {
        if (!emulation::is_device(from, n) || !emulation::is_device(to, n)) return (int)ILLEGAL_ADDRESS;
        memmove((void *)to, (void *)from, n);
        return (int)OK;
    }, {{from, n, false}, {to, n, true}});
}
API int cuMemsetD32Async(uint64_t to, unsigned value, size_t words, void *stream) {
    NEEDS_CONTEXT;
    if (!emulation::is_device(to, words * 4) || to % 4) return INVALID_VALUE;
    return emulation::enqueue(stream, [=] {
        if (!emulation::is_device(to, words * 4)) return (int)ILLEGAL_ADDRESS;
        for (size_t i = 0; i < words; i++) ((unsigned *)to)[i] = value;
        return (int)OK;
    }, {{to, words * 4, true}});
}
API int cuModuleLoadDataEx(void **module, const void *image, unsigned, void *, void *) {
    NEEDS_CONTEXT;
    if (!image || strncmp((const char *)image, "emulated ", 9) != 0) return INVALID_IMAGE;
    auto *m = new Module{(const char *)image};
    modules.insert(m);
    *module = m;
    return OK;
}
API int cuModuleUnload(void *module) {
    NEEDS_CONTEXT;
    int status = emulation::flush_all();
    if (status != OK) return status;
    if (!modules.erase((Module *)module)) return INVALID_HANDLE;
    delete (Module *)module;
    return OK;
}
API int cuModuleGetFunction(void **function, void *module, const char *name) {
    NEEDS_CONTEXT;
    if (!modules.count((Module *)module)) return INVALID_HANDLE;
    /* The image holds the source: a kernel must be in the file that was compiled. */
    bool known = hostcuda::find(name) != nullptr;
    *function = (void *)hostcuda::find(name);
    return known ? OK : NOT_FOUND;
}
API int cuFuncGetAttribute(int *value, int, void *function) {
    *value = 0;
    return function ? OK : INVALID_HANDLE;
}
API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared, void *stream, void **params, void **extra) {
    NEEDS_CONTEXT;
    if (!function || !gx || !gy || !gz || gy > 65535 || gz > 65535 || !bx || !by || bz != 1 || extra || shared > 49152)
        return INVALID_VALUE;
    if ((size_t)bx * by > 256) return INVALID_VALUE; /* the kernels' launch bound */
    const char *error = nullptr;
    auto make = (hostcuda::Maker)function;
    hostcuda::Work work = make(params, {gx, gy, gz}, {bx, by, 1}, &error);
    if (!work) return ILLEGAL_ADDRESS;
    emulation::count(emulation::KERNEL_LAUNCHES);
    int status = emulation::is_captured(stream) ? (int)OK : emulation::launch_status();
    if (status != OK) return status;
    /* How far a kernel reaches is not known: its pointers stand for all. */
    std::vector<emulation::Reach> reaches;
    for (const void *p : hostcuda::given) reaches.push_back({(uint64_t)p, 1, true});
    return emulation::enqueue(stream, work, reaches);
}
API int cuGetErrorName(int error, const char **text) {
    switch (error) {
        case OK: *text = "CUDA_SUCCESS"; return OK;
        case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; return OK;
        case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; return OK;
        case NOT_INITIALIZED: *text = "CUDA_ERROR_NOT_INITIALIZED"; return OK;
        case INVALID_DEVICE: *text = "CUDA_ERROR_INVALID_DEVICE"; return OK;
        case INVALID_IMAGE: *text = "CUDA_ERROR_INVALID_IMAGE"; return OK;
        case INVALID_CONTEXT: *text = "CUDA_ERROR_INVALID_CONTEXT"; return OK;
        case INVALID_HANDLE: *text = "CUDA_ERROR_INVALID_HANDLE"; return OK;
        case NOT_FOUND: *text = "CUDA_ERROR_NOT_FOUND"; return OK;
        case 600: *text = "CUDA_ERROR_NOT_READY"; return OK;
        case ILLEGAL_ADDRESS: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; return OK;
        case 719: *text = "CUDA_ERROR_LAUNCH_FAILED"; return OK;
        case emulation::OVERWRITTEN: *text = "EMULATION_OVERWRITTEN"; return OK;
        case emulation::RACE: *text = "EMULATION_RACE"; return OK;
        case 900: *text = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; return OK;
        case 901: *text = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; return OK;
        case LEAK: *text = "CUDA_ERROR_UNKNOWN"; return OK;
        default: *text = nullptr; return INVALID_VALUE;
    }
}
API int cuGetErrorString(int error, const char **text) {
    switch (error) {
        case OK: *text = "no error"; return OK;
        case INVALID_VALUE: *text = "invalid argument: a null, a size of 0, or memory that is not the device's, freed, or too small"; return OK;
        case OUT_OF_MEMORY: *text = "out of memory"; return OK;
        case NOT_INITIALIZED: *text = "cuInit was not called"; return OK;
        case INVALID_CONTEXT: *text = "the calling thread has no context, or another's"; return OK;
        case INVALID_HANDLE: *text = "a handle that was never made, or was destroyed"; return OK;
        case NOT_FOUND: *text = "named symbol not found"; return OK;
        case ILLEGAL_ADDRESS: *text = "a kernel or copy reached outside of live device memory"; return OK;
        case 719: *text = "unspecified launch failure"; return OK;
        case emulation::OVERWRITTEN: *text = "pinned memory was written while a copy from it was on its way"; return OK;
        case emulation::RACE: *text = "two streams reach the same memory, and no event or wait puts them in order"; return OK;
        case 900: *text = "not allowed while a stream is being captured"; return OK;
        case 901: *text = "the capture failed before"; return OK;
        case LEAK: *text = "the last share of the context was released with memory or modules still alive"; return OK;
        default: return cuGetErrorName(error, text);
    }
}
