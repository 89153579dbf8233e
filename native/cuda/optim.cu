/* Optimizers over flat float32 weights, gradients and moments, in one pass, as torch.optim. What changes from step to step
 * lies in device memory, so that a captured step is never changed. */
#include "kernel.cuh"

/* As ist_sgd_options and ist_adam_options of isthmus.h. */
struct SgdOptions {
    double lr, momentum, dampening, weight_decay, gradient_scale;
    i64 step, nesterov;
};
struct AdamOptions {
    double lr, beta1, beta2, epsilon, weight_decay, gradient_scale;
    i64 step, decoupled;
};

/* One element of SGD; m is the momentum or null. */
struct Sgd {
    float lr, mu, decay, s, take;
    bool first, nesterov;
    INLINE_MEMBER float operator()(float p, float g, float *m) const {
        float gi = s * g + decay * p;
        if (m && mu != 0) {
            /* The first step takes nothing from m, whatever lies there. */
            float mi = (first ? 0 : mu * *m) + take * gi;
            *m = mi;
            gi = nesterov ? gi + mu * mi : mi;
        }
        return p - lr * gi;
    }
};

/* One element of Adam, AdamW or, with vmax, AMSGrad. */
struct Adam {
    float decay, coupled, s, b2, c1, c2, step, root, epsilon;
    INLINE_MEMBER float operator()(float p, float g, float *m, float *v, float *vmax) const {
        float pi = p * decay, gi = s * g + coupled * pi;
        float mi = *m + c1 * (gi - *m), vi = b2 * *v + c2 * gi * gi;
        *m = mi;
        *v = vi;
        if (vmax) *vmax = vi = *vmax > vi ? *vmax : vi;
        return pi - step * mi / (sqrtf(vi) * root + epsilon);
    }
};

INLINE Sgd sgd_of(double lr, double momentum, double dampening, double decay, double scale, i64 step, bool nesterov) {
    bool first = step <= 1;
    Sgd f = {(float)lr, (float)momentum, (float)decay, (float)scale, first ? 1 : (float)(1 - dampening), first, nesterov};
    return f;
}

/* bias1 and bias2: 1 - beta^step. */
INLINE Adam adam_of(double lr, double beta1, double beta2, double epsilon, double decay, double scale, double bias1,
                    double bias2, bool decoupled) {
    Adam f = {decoupled ? (float)(1 - lr * decay) : 1, decoupled ? 0 : (float)decay, (float)scale, (float)beta2,
              (float)(1 - beta1), (float)(1 - beta2), (float)(lr / bias1), (float)(1 / sqrt(bias2)), (float)epsilon};
    return f;
}

/* base^n by squaring: the library's pow would spill registers. */
INLINE double power(double base, i64 n) {
    double result = 1;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1) result *= base;
    return result;
}

KERNEL sgd(const SgdOptions *o, float *p, const float *g, float *m, i64 n) {
    Sgd f = sgd_of(o->lr, o->momentum, o->dampening, o->weight_decay, o->gradient_scale, o->step, o->nesterov != 0);
    EACH(i, n) p[i] = f(p[i], g[i], m ? m + i : m);
}
HOST_KERNEL(sgd)

KERNEL adam(const AdamOptions *o, float *p, const float *g, float *m, float *v, float *vmax, i64 n) {
    Adam f = adam_of(o->lr, o->beta1, o->beta2, o->epsilon, o->weight_decay, o->gradient_scale,
                     1 - power(o->beta1, o->step), 1 - power(o->beta2, o->step), o->decoupled != 0);
    EACH(i, n) p[i] = f(p[i], g[i], m + i, v + i, vmax ? vmax + i : vmax);
}
HOST_KERNEL(adam)

/* g += mu (p - p0): the gradient of FedProx's proximal term (Li et al. 2020). */
KERNEL proximal(float *g, const float *p, const float *p0, float mu, i64 n) {
    EACH(i, n) g[i] += mu * (p[i] - p0[i]);
}
HOST_KERNEL(proximal)

KERNEL axpy(float a, const float *x, float *y, i64 n) {
    EACH(i, n) y[i] += a * x[i];
}
HOST_KERNEL(axpy)

/* y += share (x - y): an average of weights. */
KERNEL average(float *y, const float *x, float share, i64 n) {
    EACH(i, n) y[i] += share * (x[i] - y[i]);
}
HOST_KERNEL(average)

/* part[block] = sum of squares of the block's share; as many parts as blocks. */
KERNEL squares(const float *x, i64 n, double *part) {
    double sum = 0;
    EACH(i, n) sum += (double)x[i] * x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}
HOST_KERNEL_SYNC(squares)

/* The same for parts, by one block. */
INLINE double sum_parts(const double *part, i64 n) {
    double sum = 0;
    for (i64 i = threadIdx.x; i < n; i += THREADS) sum += part[i];
    return block_sum(sum);
}

/* *sum = sum of the parts; *bad: whether it is infinite or no number, as it is if a float32 that was squared is. */
KERNEL add_parts(const double *part, i64 n, double *sum, i64 *bad) {
    double all = sum_parts(part, n);
    if (threadIdx.x != 0) return;
    *sum = all;
    *bad = !(all - all == 0);
}
HOST_KERNEL_SYNC(add_parts)

/* What a training step on the device knows, as isthmus.backend.StepState writes it. */
struct StepState {
    i64 step, first, updates, good;
    double scale, loss_sum, samples, loss, norm;
    i64 stop, skipped;
    /* What step_decide tells the kernels after it. */
    i64 apply;
    double gradient_scale, rate, bias1, bias2;
    /* Batches since the last update, whether one of them overflowed; steps of the average; FedProx's mu. */
    i64 batches, bad, averaged;
    double proximal;
};
enum { LOSS_NOT_FINITE = 1, GRADIENT_NOT_FINITE = 2, SCALE_TOO_SMALL = 3 };

INLINE bool is_finite(double x) { return x - x == 0; }

/* Before the forward pass: number of the step and scale of the loss to where the program's kernels read them. */
KERNEL step_begin(const StepState *s, i64 *scalars, i64 accumulate) {
    if (first_thread() != 0) return;
    scalars[1] = s->step * accumulate + s->batches;
    *(float *)(scalars + 2) = (float)s->scale;
}
HOST_KERNEL(step_begin)

/* After the backward pass of a batch. `scaled`: half precision, whose overflows are skipped; else they end the training. */
KERNEL step_loss(StepState *s, const float *loss, i64 samples, i64 scaled) {
    if (first_thread() != 0 || s->stop != 0) return;
    double value = *loss;
    s->loss = value;
    s->batches++;
    if (is_finite(value)) {
        s->loss_sum += value * samples;
        s->samples += samples;
    } else if (scaled) s->bad = 1;
    else s->stop = LOSS_NOT_FINITE;
}
HOST_KERNEL(step_loss)

/* FedProx, as `proximal`; gradients are as many times too large as the loss's scale and the batches summed make them. */
KERNEL step_proximal(const StepState *s, float *g, const float *p, const float *p0, i64 n) {
    float mu = (float)(s->proximal * (s->scale * s->batches));
    EACH(i, n) g[i] += mu * (p[i] - p0[i]);
}
HOST_KERNEL(step_proximal)

/* After the last batch of a step: does it count, and with which numbers? Row i of the course is for step first + i: factor of
 * the learning rate, and clip norm or 0. The rules are LossScaler's and Optimizer's of isthmus.train. */
KERNEL step_decide(StepState *s, const double *course, const double *part, i64 parts, i64 scaled, double growth,
                   double backoff, double least, i64 interval, double beta1, double beta2) {
    double squares = sum_parts(part, parts);
    if (threadIdx.x != 0) return;
    double scale = s->scale, times = scale * s->batches;
    bool good = !s->bad;
    s->apply = s->batches = s->bad = 0;
    if (s->stop != 0) return;
    const double *row = course + 2 * (s->step - s->first);
    double gradient_scale = 1 / times;
    if (good && (scaled || row[1] > 0)) {
        good = is_finite(squares);
        if (!good && !scaled) {
            s->stop = GRADIENT_NOT_FINITE;
            return;
        }
        if (good) {
            s->norm = sqrt(squares) / times;
            double cut = row[1] / (s->norm + 1e-6);
            if (row[1] > 0 && cut < 1) gradient_scale *= cut;
        }
    }
    if (!good) {
        s->good = 0;
        s->skipped++;
        s->scale = (float)(scale * backoff);
        if (s->scale < least) s->stop = SCALE_TOO_SMALL;
        return;
    }
    s->apply = 1;
    s->gradient_scale = gradient_scale;
    s->rate = row[0];
    s->step++;
    s->updates++;
    s->averaged++;
    s->bias1 = 1 - power(beta1, s->updates);
    s->bias2 = 1 - power(beta2, s->updates);
    if (!scaled || ++s->good < interval) return;
    s->good = 0;
    float grown = (float)(scale * growth);
    if (is_finite(grown)) s->scale = grown;
}
HOST_KERNEL_SYNC(step_decide)

/* y = x unless the step counts: what the forward pass moved goes back. */
KERNEL step_undo(const StepState *s, const float *x, float *y, i64 n) {
    if (s->apply) return;
    EACH(i, n) y[i] = x[i];
}
HOST_KERNEL(step_undo)

/* An average of weights after a step that counts, as isthmus.train.Ema. */
KERNEL step_average(const StepState *s, float *y, const float *x, i64 n, double decay, int warmup) {
    if (!s->apply) return;
    double early = (1.0 + s->averaged) / (10.0 + s->averaged);
    float share = (float)(1 - (warmup && early < decay ? early : decay));
    EACH(i, n) y[i] += share * (x[i] - y[i]);
}
HOST_KERNEL(step_average)

/* A stretch of one weight that one block works on; the weight begins at `start`, and at `copy` in the copy that is computed
 * with (negative: it has none), where a weight [O,inner,taps] lies as [O,taps,inner]. */
struct Chunk {
    i64 at, n, start, copy, inner, taps;
    double rate, weight_decay;
};

INLINE i64 place(const Chunk &c, i64 i) {
    unsigned j = (unsigned)(i - c.start);
    if (c.taps == 1) return c.copy + j;
    unsigned taps = (unsigned)c.taps, inner = (unsigned)c.inner, row = j / taps, tap = j - row * taps, o = row / inner;
    return c.copy + (o * taps + tap) * (i64)inner + (row - o * inner);
}

template <class T> INLINE void put_copy(T *copy, const Chunk &c, i64 i, float v) {
    if (c.copy >= 0) copy[place(c, i)] = from_float<T>(v);
}

/* p[i] = f(p[i], g[i], m...) over a chunk, and the copy of p that is computed with; m: moment arrays, each `n` after the one
 * before. Four at a time where all lies well. */
template <int M, class T, class F> INLINE void update(const Chunk &c, float *p, const float *g, float *m, i64 n, T *copy, F f) {
    bool wide = aligned(p + c.at) && aligned(g + c.at) && (M == 0 || (aligned(m + c.at) && (M == 1 || n % 4 == 0)));
    i64 packs = wide ? c.n / 4 : 0;
    for (i64 k = threadIdx.x; k < packs; k += THREADS) {
        i64 i = c.at + 4 * k;
        Pack<float, 4> pi = pack_at<float, 4>(p, i), gi = pack_at<float, 4>(g, i), mi[M > 0 ? M : 1];
#pragma unroll
        for (int a = 0; a < M; a++) mi[a] = pack_at<float, 4>(m, i + a * n);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float e[M > 0 ? M : 1];
#pragma unroll
            for (int a = 0; a < M; a++) e[a] = mi[a].v[j];
            pi.v[j] = f(pi.v[j], gi.v[j], e);
#pragma unroll
            for (int a = 0; a < M; a++) mi[a].v[j] = e[a];
            put_copy(copy, c, i + j, pi.v[j]);
        }
        put_pack(p, i, pi);
#pragma unroll
        for (int a = 0; a < M; a++) put_pack(m, i + a * n, mi[a]);
    }
    for (i64 i = c.at + 4 * packs + threadIdx.x; i < c.at + c.n; i += THREADS) {
        float e[M > 0 ? M : 1];
#pragma unroll
        for (int a = 0; a < M; a++) e[a] = m[i + a * n];
        float v = f(p[i], g[i], e);
        p[i] = v;
#pragma unroll
        for (int a = 0; a < M; a++) m[i + a * n] = e[a];
        put_copy(copy, c, i, v);
    }
}

template <int M> struct SgdWith {
    Sgd f;
    INLINE_MEMBER float operator()(float p, float g, float *m) const { return f(p, g, M > 0 ? m : nullptr); }
};
template <int M> struct AdamWith {
    Adam f;
    INLINE_MEMBER float operator()(float p, float g, float *m) const { return f(p, g, m, m + 1, M > 2 ? m + 2 : nullptr); }
};

template <int M, class T>
INLINE void sgd_chunk(const StepState *s, const Chunk *chunks, float *p, const float *g, float *m, i64 n, T *copy,
                      double momentum, int nesterov) {
    if (!s->apply) return;
    Chunk c = chunks[blockIdx.x];
    SgdWith<M> f = {sgd_of(c.rate * s->rate, momentum, 0, c.weight_decay, s->gradient_scale, s->updates, nesterov != 0)};
    update<M>(c, p, g, m, n, copy, f);
}

template <int M, class T>
INLINE void adam_chunk(const StepState *s, const Chunk *chunks, float *p, const float *g, float *m, i64 n, T *copy,
                       double beta1, double beta2, double epsilon, int decoupled) {
    if (!s->apply) return;
    Chunk c = chunks[blockIdx.x];
    AdamWith<M> f = {adam_of(c.rate * s->rate, beta1, beta2, epsilon, c.weight_decay, s->gradient_scale, s->bias1,
                             s->bias2, decoupled != 0)};
    update<M>(c, p, g, m, n, copy, f);
}

/* The optimizers over all weights at once, one block a chunk: unscaling, clipping, update, copy. The number is that of moments. */
#define STEP(S, T) \
    STEP_SGD(0, S, T) STEP_SGD(1, S, T) STEP_ADAM(2, S, T) STEP_ADAM(3, S, T) \
    KERNEL copy_weights_##S(const Chunk *chunks, const float *p, T *copy) { \
        Chunk c = chunks[blockIdx.x]; \
        for (i64 i = c.at + threadIdx.x; i < c.at + c.n; i += THREADS) put_copy(copy, c, i, p[i]); \
    } \
    HOST_KERNEL(copy_weights_##S)
#define STEP_SGD(M, S, T) \
    KERNEL sgd_step##M##_##S(const StepState *s, const Chunk *chunks, float *p, const float *g, float *m, i64 n, T *copy, \
                             double momentum, int nesterov) { \
        sgd_chunk<M>(s, chunks, p, g, m, n, copy, momentum, nesterov); \
    } \
    HOST_KERNEL(sgd_step##M##_##S)
#define STEP_ADAM(M, S, T) \
    KERNEL adam_step##M##_##S(const StepState *s, const Chunk *chunks, float *p, const float *g, float *m, i64 n, T *copy, \
                              double beta1, double beta2, double epsilon, int decoupled) { \
        adam_chunk<M>(s, chunks, p, g, m, n, copy, beta1, beta2, epsilon, decoupled); \
    } \
    HOST_KERNEL(adam_step##M##_##S)
EVERY_TYPE(STEP)
