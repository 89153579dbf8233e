/* The CUDA emulation: for tests on machines without a GPU. It exports the entry points of NVIDIA's libraries that Isthmus
 * binds, and no others, and runs them on the host, strictly: what real hardware may forgive or fail at later, is an error
 * here. It proves call order, arguments, lifetimes and arithmetic; it proves nothing of speed.
 *
 * Work given to a stream is done when someone waits for the stream, so a result that is read too early is not there. Pinned
 * memory that is written before its copy is made is an error, as are two streams that reach the same memory without order. */
#ifndef IST_EMULATION_H
#define IST_EMULATION_H
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace emulation {
extern std::recursive_mutex lock;
#define LOCKED std::lock_guard<std::recursive_mutex> guard(emulation::lock)

/* Whether [p, p + n) lies in one live block of device memory. */
bool is_device(uint64_t p, size_t n);

/* Whether the calling thread has a context. */
bool has_context();

/* Memory that a piece of work reads or writes. */
struct Reach {
    uint64_t at;
    size_t bytes;
    bool write;
};

/* Adds work to a stream, or to what is being captured on it; the work returns a driver status. Gives a driver status. */
int enqueue(void *stream, std::function<int()> work, const std::vector<Reach> &reaches = {});

/* Whether what is given to a stream is noted and not done. */
bool is_captured(void *stream);

/* Statuses of the emulation's own: nothing is lost by them, and no real driver would tell. */
enum { OVERWRITTEN = 996, RACE = 997 };

/* The last time of each stream that someone knows to be over. */
using Clock = std::map<void *, uint64_t>;
void happens(void *stream);
Clock clock_of(void *stream);
void stream_knows(void *stream, const Clock &c);
void host_knows(const Clock &c);
bool races(void *stream, const std::vector<Reach> &all);
void forget(void *stream);

/* Calls since the process began; cuDeviceGetAttribute gives counter i for the attribute -1 - i. For -1000 - n it lets the
 * n-th launch of a kernel or graph from now on fail, as does the environment variable ISTHMUS_EMULATION_LOSE_AT=n; for
 * -1000000 - n the device has n MiB from now on, 0 being what ISTHMUS_EMULATION_MIB says. */
enum Counter { GRAPH_LAUNCHES, KERNEL_LAUNCHES, STREAM_WAITS, EVENT_WAITS, ALLOCATIONS, COPIES_IN, COPIES_OUT, COUNTERS };
void count(Counter what);
int counted(int what);
void lose_at(long long launch);
bool loses_now();

/* Element types by cuDNN's numbers, and as float32 rows. */
enum Type { F32 = 0, F16 = 2, BF16 = 9 };
inline size_t size_of(Type t) { return t == F32 ? 4 : 2; }
float load(Type t, const void *p, int64_t i);
void store(Type t, void *p, int64_t i, float v);

/* c[m,n] += a[m,k] b[k,n], row-major float32. */
void multiply(const float *a, const float *b, float *c, int64_t m, int64_t n, int64_t k);
} // namespace emulation
#endif
