/* Threads of one block as fibers. */
#include "host_cuda.h"
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

/* Saves what a call must keep and the stack, and goes on where another stack stopped (System V x86-64). */
extern "C" void ist_emulation_switch(void **save, void *next);
__asm__(".text\n.globl ist_emulation_switch\n.hidden ist_emulation_switch\n.type ist_emulation_switch,@function\n"
        "ist_emulation_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".size ist_emulation_switch,.-ist_emulation_switch\n");

namespace hostcuda {
namespace {
constexpr size_t STACK = 64 << 10;

struct Fiber {
    std::vector<char> stack;
    void *at = nullptr;
    dim3 tid{};
    bool done = false;
};

std::vector<Fiber> fibers;
void *scheduler;
size_t current, alive, waiting, generation;
const std::function<void()> *block_body;

void leave() { ist_emulation_switch(&fibers[current].at, scheduler); }

void enter() {
    (*block_body)();
    fibers[current].done = true;
    alive--;
    if (alive > 0 && waiting == alive) {
        waiting = 0;
        generation++;
    }
    leave();
    abort(); /* a finished fiber is never entered again */
}

void prepare(Fiber &f, size_t i) {
    if (f.stack.empty()) f.stack.resize(STACK);
    f.done = false;
    f.tid = {unsigned(i % bdim_.x), unsigned(i / bdim_.x), 0};
    auto top = (uintptr_t)(f.stack.data() + STACK) & ~uintptr_t(15);
    void **sp = (void **)top - 2; /* at entry the stack is 8 below a multiple of 16 */
    sp[0] = (void *)enter;
    sp[1] = nullptr;
    f.at = sp - 6;
    memset(f.at, 0, 6 * sizeof(void *));
}
} // namespace

void barrier() {
    size_t mine = generation;
    if (++waiting == alive) {
        waiting = 0;
        generation++;
    }
    while (generation == mine) leave();
    tid_ = fibers[current].tid;
}

void run_fibers(const std::function<void()> &body) {
    size_t n = (size_t)bdim_.x * bdim_.y;
    if (fibers.size() < n) fibers.resize(n);
    block_body = &body;
    alive = n;
    waiting = generation = 0;
    for (size_t i = 0; i < n; i++) prepare(fibers[i], i);
    while (alive > 0) {
        size_t before = alive + generation * (n + 1);
        for (current = 0; current < n; current++) {
            if (fibers[current].done) continue;
            tid_ = fibers[current].tid;
            ist_emulation_switch(&scheduler, fibers[current].at);
        }
        if (alive + generation * (n + 1) == before) {
            fprintf(stderr, "CUDA emulation: threads of one block wait at different barriers\n");
            abort();
        }
    }
}

static std::unordered_map<std::string, Maker> &kernels() {
    static std::unordered_map<std::string, Maker> all;
    return all;
}

Registration::Registration(const char *name, Maker maker) { kernels()[name] = maker; }

Maker find(const char *name) {
    auto it = kernels().find(name);
    return it == kernels().end() ? nullptr : it->second;
}
} // namespace hostcuda
