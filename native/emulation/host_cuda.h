/* Compiles our own .cu kernels with a host C++ compiler: one thread of the host runs the threads of a block in turn. Where a
 * kernel has __syncthreads, each of its threads is a fiber; else it is a plain loop. Every pointer that a kernel is given must
 * point into live device memory. One kernel runs at a time: the emulation holds its lock. */
#ifndef IST_HOST_CUDA_H
#define IST_HOST_CUDA_H
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

struct dim3 {
    unsigned x, y, z;
};

namespace hostcuda {
inline dim3 tid_, bid_, bdim_, gdim_;

/* Runs body for every thread of one block, as fibers that meet at barriers. */
void run_fibers(const std::function<void()> &body);
void barrier();

/* Pointers that were given to the kernel that is being launched. */
inline std::vector<const void *> given;

/* Whether a pointer given to a kernel lies in live device memory. */
bool is_live(const void *p);

/* What a launch will do, giving a driver status; nothing if an argument is bad, with the reason in `error`. */
using Work = std::function<int()>;
using Maker = Work (*)(void **params, dim3 grid, dim3 block, const char **error);

/* Finds a kernel by name. */
Maker find(const char *name);
struct Registration {
    Registration(const char *name, Maker maker);
};

template <class A> bool fits(const A &a) {
    if constexpr (std::is_pointer_v<A>) return a == nullptr || is_live((const void *)a);
    else return true;
}

template <class A> void note(const A &a) {
    if constexpr (std::is_pointer_v<A>)
        if (a) given.push_back((const void *)a);
}

template <bool SYNC, class... A> struct Launcher {
    template <void (*K)(A...)> static Work make(void **p, dim3 g, dim3 b, const char **error) {
        std::tuple<A...> args = unpack(p, std::index_sequence_for<A...>{});
        bool good = std::apply([](const A &...a) { return (fits(a) && ...); }, args);
        given.clear();
        std::apply([](const A &...a) { (note(a), ...); }, args);
        if (!good) {
            *error = "an argument points outside of live device memory";
            return nullptr;
        }
        return [args, g, b] {
            /* A captured launch may come long after: its memory must be there still. */
            if (!std::apply([](const A &...a) { return (fits(a) && ...); }, args)) return 700;
            gdim_ = g;
            bdim_ = b;
            auto body = [&args] { std::apply(K, args); };
            for (unsigned z = 0; z < g.z; z++)
                for (unsigned y = 0; y < g.y; y++)
                    for (unsigned x = 0; x < g.x; x++) {
                        bid_ = {x, y, z};
                        if constexpr (SYNC) run_fibers(body);
                        else
                            for (tid_ = {0, 0, 0}; tid_.y < b.y; tid_.y++)
                                for (tid_.x = 0; tid_.x < b.x; tid_.x++) body();
                    }
            return 0;
        };
    }
    template <size_t... I> static std::tuple<A...> unpack(void **p, std::index_sequence<I...>) {
        return std::tuple<A...>(*static_cast<std::remove_const_t<A> *>(p[I])...);
    }
};
template <bool SYNC, class... A> Launcher<SYNC, A...> deduce(void (*)(A...));
} // namespace hostcuda

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static
#define __launch_bounds__(n)
#define threadIdx hostcuda::tid_
#define blockIdx hostcuda::bid_
#define blockDim hostcuda::bdim_
#define gridDim hostcuda::gdim_
#define HOST_KERNEL(k) \
    static hostcuda::Registration register_##k(#k, &decltype(hostcuda::deduce<false>(k))::template make<k>);
#define HOST_KERNEL_SYNC(k) \
    static hostcuda::Registration register_##k(#k, &decltype(hostcuda::deduce<true>(k))::template make<k>);

inline void __syncthreads() { hostcuda::barrier(); }
inline float __fdividef(float a, float b) { return a / b; }

inline float __uint_as_float(unsigned x) {
    float f;
    std::memcpy(&f, &x, 4);
    return f;
}
inline unsigned __float_as_uint(float f) {
    unsigned x;
    std::memcpy(&x, &f, 4);
    return x;
}

inline float half_to_float(unsigned short h) {
    unsigned sign = (unsigned)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) return __uint_as_float(sign | 0x7f800000u | (rest & 0x3ff) << 13);
    /* A half's exponent and fraction, moved up, are a float 2^112 times too small: exact for subnormals, too. */
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest << 13) * 0x1p112f));
}

/* To nearest, ties to even. */
inline unsigned short float_to_half(float f) {
    unsigned x = __float_as_uint(f), sign = x >> 16 & 0x8000, rest = x & 0x7fffffffu;
    if (rest > 0x7f800000u) return (unsigned short)(sign | 0x7e00);
    if (rest >= 0x477ff000u) return (unsigned short)(sign | 0x7c00);
    if (rest < 0x38800000u) { /* subnormal: the addition rounds */
        unsigned bits = __float_as_uint(__uint_as_float(rest) + 0.5f) - 0x3f000000u;
        return (unsigned short)(sign | bits);
    }
    unsigned rounded = rest + 0xfffu + (rest >> 13 & 1) - 0x38000000u;
    return (unsigned short)(sign | rounded >> 13);
}
#endif
