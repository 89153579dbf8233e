/* Streams, events, capture and graphs: lists of work that is done when someone waits. */
#include "emulation.h"
#include <chrono>
#include <deque>
#include <memory>
#include <set>
#include <vector>

namespace {
enum { OK = 0, INVALID_VALUE = 1, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_READY = 600, LAUNCH_FAILED = 719 };
enum { CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, ILLEGAL_STATE = 401 };

using Work = std::function<int()>;

struct Stream {
    std::deque<Work> todo;
    bool capturing = false, broken = false, running = false;
    std::vector<Work> captured;
    std::vector<emulation::Reach> reaches; /* of what is captured */
};

/* Where an event was recorded: the stream, until its work has come to that place. */
struct Mark {
    Stream *stream = nullptr;
    bool passed = false;
    emulation::Clock clock;
    std::chrono::steady_clock::time_point when;
};

struct Event {
    std::shared_ptr<Mark> mark;
    bool timing = true;
};

struct Graph {
    std::vector<Work> work;
    std::vector<emulation::Reach> reaches;
};

std::set<Stream *> streams;
std::set<Event *> events;
std::set<Graph *> graphs, execs;
int sticky = OK; /* after an illegal access the context is lost, as on real hardware */

int run(Stream *s, const std::function<bool()> &enough) {
    if (s->running) return INVALID_VALUE; /* two streams wait for each other */
    s->running = true;
    while (!s->todo.empty() && !enough() && sticky == OK) {
        Work next = std::move(s->todo.front());
        s->todo.pop_front();
        int status = next();
        if (status == emulation::OVERWRITTEN) {
            s->running = false;
            return status;
        }
        sticky = status;
    }
    s->running = false;
    return sticky;
}

int drain(Stream *s) {
    return run(s, [] { return false; });
}
} // namespace

namespace emulation {
bool capturing() {
    bool any = false;
    for (Stream *s : streams)
        if (s->capturing) {
            any = true;
            s->broken = true;
        }
    return any;
}

bool is_captured(void *stream) { return streams.count((Stream *)stream) && ((Stream *)stream)->capturing; }

int status() { return sticky; }
/* The context is gone and what was wrong with it. */
void recover() { sticky = OK; }

/* A launch that fails takes the context with it. */
int launch_status() {
    if (sticky == OK && loses_now()) sticky = LAUNCH_FAILED;
    return sticky;
}

int flush_all() {
    for (Stream *s : streams) {
        int status = drain(s);
        if (status != OK) return status;
        host_knows(clock_of(s));
    }
    return sticky;
}

int enqueue(void *stream, std::function<int()> work, const std::vector<Reach> &reaches) {
    auto *s = (Stream *)stream;
    if (sticky != OK) return sticky;
    if (!streams.count(s)) return INVALID_HANDLE; /* the default stream is never used */
    if (s->capturing) {
        s->captured.push_back(std::move(work));
        s->reaches.insert(s->reaches.end(), reaches.begin(), reaches.end());
        return OK;
    }
    happens(stream);
    if (races(stream, reaches)) return RACE;
    s->todo.push_back(std::move(work));
    const size_t many = 4096; /* work does not pile up without end */
    return s->todo.size() > many ? drain(s) : OK;
}
} // namespace emulation

#define NEEDS_CONTEXT \
    LOCKED; \
    if (!emulation::has_context()) return INVALID_CONTEXT
#define NEEDS(set, x) \
    if (!(set).count(x)) return INVALID_HANDLE

API int cuStreamCreate(void **stream, unsigned) {
    NEEDS_CONTEXT;
    auto *s = new Stream();
    streams.insert(s);
    *stream = s;
    return OK;
}
API int cuStreamDestroy_v2(void *stream) {
    NEEDS_CONTEXT;
    auto *s = (Stream *)stream;
    NEEDS(streams, s);
    int status = drain(s);
    streams.erase(s);
    emulation::forget(s);
    delete s;
    return status;
}
API int cuStreamSynchronize(void *stream) {
    NEEDS_CONTEXT;
    auto *s = (Stream *)stream;
    NEEDS(streams, s);
    if (s->capturing) {
        s->broken = true;
        return CAPTURE_UNSUPPORTED;
    }
    emulation::count(emulation::STREAM_WAITS);
    int status = drain(s);
    emulation::host_knows(emulation::clock_of(stream));
    return status;
}
API int cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    NEEDS_CONTEXT;
    auto *e = (Event *)event;
    NEEDS(events, e);
    if (flags) return INVALID_VALUE;
    std::shared_ptr<Mark> mark = e->mark;
    if (!mark) return OK; /* never recorded: nothing to wait for */
    emulation::stream_knows(stream, mark->clock);
    return emulation::enqueue(stream, [mark] { return mark->passed ? OK : run(mark->stream, [mark] { return mark->passed; }); });
}
API int cuEventCreate(void **event, unsigned flags) {
    NEEDS_CONTEXT;
    auto *e = new Event();
    e->timing = !(flags & 2);
    events.insert(e);
    *event = e;
    return OK;
}
API int cuEventDestroy_v2(void *event) {
    NEEDS_CONTEXT;
    auto *e = (Event *)event;
    if (!events.erase(e)) return INVALID_HANDLE;
    delete e;
    return OK;
}
API int cuEventRecord(void *event, void *stream) {
    NEEDS_CONTEXT;
    auto *e = (Event *)event;
    NEEDS(events, e);
    auto mark = std::make_shared<Mark>();
    mark->stream = (Stream *)stream;
    e->mark = mark;
    emulation::happens(stream);
    mark->clock = emulation::clock_of(stream);
    return emulation::enqueue(stream, [mark] {
        mark->passed = true;
        mark->when = std::chrono::steady_clock::now();
        return (int)OK;
    });
}
API int cuEventSynchronize(void *event) {
    NEEDS_CONTEXT;
    auto *e = (Event *)event;
    NEEDS(events, e);
    if (emulation::capturing()) return CAPTURE_UNSUPPORTED;
    emulation::count(emulation::EVENT_WAITS);
    std::shared_ptr<Mark> mark = e->mark;
    int status = !mark || mark->passed ? sticky : run(mark->stream, [mark] { return mark->passed; });
    if (mark) emulation::host_knows(mark->clock);
    return status;
}
API int cuEventElapsedTime(float *ms, void *from, void *to) {
    NEEDS_CONTEXT;
    auto *a = (Event *)from, *b = (Event *)to;
    NEEDS(events, a);
    NEEDS(events, b);
    if (!a->timing || !b->timing || !a->mark || !b->mark) return INVALID_HANDLE;
    if (!a->mark->passed || !b->mark->passed) return NOT_READY;
    *ms = std::chrono::duration<float, std::milli>(b->mark->when - a->mark->when).count();
    return OK;
}
API int cuStreamBeginCapture_v2(void *stream, int mode) {
    NEEDS_CONTEXT;
    auto *s = (Stream *)stream;
    NEEDS(streams, s);
    if (mode < 0 || mode > 2) return INVALID_VALUE;
    if (s->capturing) return ILLEGAL_STATE;
    s->capturing = true;
    s->broken = false;
    s->captured.clear();
    s->reaches.clear();
    return OK;
}
API int cuStreamEndCapture(void *stream, void **graph) {
    NEEDS_CONTEXT;
    auto *s = (Stream *)stream;
    NEEDS(streams, s);
    if (!s->capturing) return ILLEGAL_STATE;
    s->capturing = false;
    if (s->broken) return CAPTURE_INVALIDATED;
    auto *g = new Graph{std::move(s->captured), std::move(s->reaches)};
    graphs.insert(g);
    *graph = g;
    return OK;
}
API int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
    NEEDS_CONTEXT;
    auto *g = (Graph *)graph;
    NEEDS(graphs, g);
    if (flags) return INVALID_VALUE;
    auto *x = new Graph(*g);
    execs.insert(x);
    *exec = x;
    return OK;
}
API int cuGraphLaunch(void *exec, void *stream) {
    NEEDS_CONTEXT;
    auto *x = (Graph *)exec;
    NEEDS(execs, x);
    emulation::count(emulation::GRAPH_LAUNCHES);
    int status = emulation::launch_status();
    for (size_t i = 0; status == OK && i < x->work.size(); i++)
        status = i == 0 ? emulation::enqueue(stream, x->work[i], x->reaches) : emulation::enqueue(stream, x->work[i]);
    return status;
}
API int cuGraphExecDestroy(void *exec) {
    NEEDS_CONTEXT;
    int status = emulation::flush_all();
    if (!execs.erase((Graph *)exec)) return INVALID_HANDLE;
    delete (Graph *)exec;
    return status;
}
API int cuGraphDestroy(void *graph) {
    NEEDS_CONTEXT;
    if (!graphs.erase((Graph *)graph)) return INVALID_HANDLE;
    delete (Graph *)graph;
    return OK;
}
