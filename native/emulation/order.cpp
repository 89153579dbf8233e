/* Which piece of work comes before which: vector clocks of streams and of the host. Two streams that reach the same memory, one
 * of them writing, need an event or a wait of the host between them. And what tests may count, and make fail. */
#include "emulation.h"
#include <cstdlib>
#include <vector>

namespace {
struct Access {
    uint64_t from, to, time;
    bool write;
};

std::map<void *, emulation::Clock> clocks;
emulation::Clock host;
/* What each stream reached that the host does not know to be done. */
std::map<void *, std::vector<Access>> reached;
int counts[emulation::COUNTERS];
long long launches_left;

void join(emulation::Clock &into, const emulation::Clock &other) {
    for (const auto &[stream, time] : other)
        if (into[stream] < time) into[stream] = time;
}
} // namespace

namespace emulation {
void count(Counter what) { counts[what]++; }
int counted(int what) { return what >= 0 && what < COUNTERS ? counts[what] : -1; }

void lose_at(long long launch) { launches_left = launch; }
bool loses_now() { return launches_left > 0 && --launches_left == 0; }

void happens(void *stream) {
    Clock &mine = clocks[stream];
    join(mine, host);
    mine[stream]++;
}

Clock clock_of(void *stream) { return clocks[stream]; }
void stream_knows(void *stream, const Clock &c) { join(clocks[stream], c); }

void host_knows(const Clock &c) {
    join(host, c);
    for (auto &[stream, list] : reached) {
        size_t kept = 0;
        for (const Access &a : list)
            if (a.time > host[stream]) list[kept++] = a;
        list.resize(kept);
    }
}

bool races(void *stream, const std::vector<Reach> &all) {
    Clock &mine = clocks[stream];
    for (const Reach &r : all) {
        for (const auto &[other, list] : reached) {
            if (other == stream) continue;
            for (const Access &a : list)
                if (a.from < r.at + r.bytes && r.at < a.to && (a.write || r.write) && mine[other] < a.time) return true;
        }
        reached[stream].push_back({r.at, r.at + r.bytes, mine[stream], r.write});
    }
    return false;
}

void forget(void *stream) {
    clocks.erase(stream);
    reached.erase(stream);
    host.erase(stream);
}
} // namespace emulation
