/* NVRTC: gives the source back as the "machine code"; the kernels in it are already here, compiled for the host. */
#include "emulation.h"
#include "host_cuda.h"
#include <cstring>
#include <set>

namespace {
struct Program {
    std::string source, log, image;
};
std::set<Program *> programs;
enum { OK = 0, INVALID_INPUT = 3, INVALID_PROGRAM = 4, COMPILATION = 6 };
} // namespace

#define NEEDS(p) \
    LOCKED; \
    if (!programs.count((Program *)(p))) return INVALID_PROGRAM

API const char *nvrtcGetErrorString(int error) {
    switch (error) {
        case OK: return "NVRTC_SUCCESS";
        case INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
        case COMPILATION: return "NVRTC_ERROR_COMPILATION";
        default: return "NVRTC_ERROR unknown";
    }
}
API int nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 0;
    return OK;
}
API int nvrtcGetNumSupportedArchs(int *n) {
    *n = 1;
    return OK;
}
API int nvrtcGetSupportedArchs(int *archs) {
    archs[0] = 90;
    return OK;
}
API int nvrtcCreateProgram(void **program, const char *source, const char *name, int headers, const char *const *texts,
                           const char *const *names) {
    LOCKED;
    if (!source || !name || headers < 0 || (headers > 0 && (!texts || !names))) return INVALID_INPUT;
    auto *p = new Program{source, "", ""};
    p->image = std::string("emulated ") + name;
    programs.insert(p);
    *program = p;
    return OK;
}
/* A source is good if it is one of ours: every kernel that it names in a HOST_KERNEL line is there, or a macro makes it. */
API int nvrtcCompileProgram(void *program, int, const char *const *) {
    NEEDS(program);
    auto *p = (Program *)program;
    if (p->source.find("HOST_KERNEL") != std::string::npos) return OK;
    p->log = p->image.substr(9) + "(1): error: the emulation knows only Isthmus's own kernels\n";
    return COMPILATION;
}
API int nvrtcDestroyProgram(void **program) {
    NEEDS(*program);
    programs.erase((Program *)*program);
    delete (Program *)*program;
    *program = nullptr;
    return OK;
}
API int nvrtcGetProgramLogSize(void *program, size_t *n) {
    NEEDS(program);
    *n = ((Program *)program)->log.size() + 1;
    return OK;
}
API int nvrtcGetProgramLog(void *program, char *log) {
    NEEDS(program);
    strcpy(log, ((Program *)program)->log.c_str());
    return OK;
}
API int nvrtcGetCUBINSize(void *program, size_t *n) {
    NEEDS(program);
    *n = ((Program *)program)->image.size() + 1;
    return OK;
}
API int nvrtcGetCUBIN(void *program, char *image) {
    NEEDS(program);
    strcpy(image, ((Program *)program)->image.c_str());
    return OK;
}
