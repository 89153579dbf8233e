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

KERNEL sgd(const SgdOptions *o, float *p, const float *g, float *m, i64 n) {
    float lr = (float)o->lr, mu = (float)o->momentum, decay = (float)o->weight_decay, s = (float)o->gradient_scale;
    bool first = o->step <= 1;
    float take = first ? 1 : (float)(1 - o->dampening);
    bool nesterov = o->nesterov != 0;
    EACH(i, n) {
        float gi = s * g[i] + decay * p[i];
        if (m && mu != 0) {
            /* The first step takes nothing from m, whatever lies there. */
            float mi = (first ? 0 : mu * m[i]) + take * gi;
            m[i] = mi;
            gi = nesterov ? gi + mu * mi : mi;
        }
        p[i] -= lr * gi;
    }
}
HOST_KERNEL(sgd)

/* base^n by squaring: the library's pow would spill registers. */
INLINE double power(double base, i64 n) {
    double result = 1;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1) result *= base;
    return result;
}

KERNEL adam(const AdamOptions *o, float *p, const float *g, float *m, float *v, float *vmax, i64 n) {
    float decay = o->decoupled ? (float)(1 - o->lr * o->weight_decay) : 1;
    float coupled = o->decoupled ? 0 : (float)o->weight_decay;
    float s = (float)o->gradient_scale, b2 = (float)o->beta2, c1 = (float)(1 - o->beta1), c2 = (float)(1 - o->beta2);
    float step = (float)(o->lr / (1 - power(o->beta1, o->step)));
    float root = (float)(1 / sqrt(1 - power(o->beta2, o->step))), epsilon = (float)o->epsilon;
    EACH(i, n) {
        float pi = p[i] * decay, gi = s * g[i] + coupled * pi;
        float mi = m[i] + c1 * (gi - m[i]), vi = b2 * v[i] + c2 * gi * gi;
        m[i] = mi;
        v[i] = vi;
        if (vmax) vmax[i] = vi = vmax[i] > vi ? vmax[i] : vi;
        p[i] = pi - step * mi / (sqrtf(vi) * root + epsilon);
    }
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

/* *sum = sum of the parts, in order; *bad: whether it is infinite or no number, as it is if a float32 that was squared is. */
KERNEL add_parts(const double *part, i64 n, double *sum, i64 *bad) {
    if (first_thread() != 0) return;
    double all = 0;
    for (i64 i = 0; i < n; i++) all += part[i];
    *sum = all;
    *bad = !(all - all == 0);
}
HOST_KERNEL(add_parts)
