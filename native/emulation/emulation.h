/* The CUDA emulation: for tests on machines without a GPU. It exports the entry points of NVIDIA's libraries that Isthmus
 * binds, and no others, and runs them on the host, strictly: what real hardware may forgive or fail at later, is an error
 * here. It proves call order, arguments, lifetimes and arithmetic; it proves nothing of speed.
 *
 * Work given to a stream is done when someone waits for the stream, so a result that is read too early is not there, and
 * pinned memory that is overwritten too early is copied wrong. */
#ifndef IST_EMULATION_H
#define IST_EMULATION_H
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#define API extern "C" __attribute__((visibility("default")))

namespace emulation {
extern std::recursive_mutex lock;
#define LOCKED std::lock_guard<std::recursive_mutex> guard(emulation::lock)

/* Whether [p, p + n) lies in one live block of device memory. */
bool is_device(uint64_t p, size_t n);

/* Whether the calling thread has a context. */
bool has_context();

/* Adds work to a stream, or to what is being captured on it; the work returns a driver status. Gives a driver status. */
int enqueue(void *stream, std::function<int()> work);

/* Element types by cuDNN's numbers, and as float32 rows. */
enum Type { F32 = 0, F16 = 2, BF16 = 9 };
inline size_t size_of(Type t) { return t == F32 ? 4 : 2; }
float load(Type t, const void *p, int64_t i);
void store(Type t, void *p, int64_t i, float v);

/* c[m,n] += a[m,k] b[k,n], row-major float32. */
void multiply(const float *a, const float *b, float *c, int64_t m, int64_t n, int64_t k);
} // namespace emulation
#endif
