/* Convolutions as plain loops: rows of windows, and a matrix product. */
#include "cudnn.h"
#include <algorithm>

namespace cudnn {
namespace {
using emulation::Type;

struct Geometry {
    int64_t n, c, o, groups, taps;
    int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
    int64_t depth() const { return taps * (c / groups); } /* of one window of one group */
    int64_t positions() const { return n * out[0] * out[1] * out[2]; }
};

Type type_of(const Descriptor *t) { return (Type)t->values.at(DATA_TYPE).at<int>(0); }

int64_t axis(const std::vector<int64_t> &v, size_t skip, int i, int64_t missing) {
    int at = i - (3 - (int)(v.size() - skip));
    return at < 0 ? missing : v[skip + (size_t)at];
}

Geometry geometry(const Problem &p) {
    Geometry g;
    auto x = p.x->longs(DIMS), w = p.w->longs(DIMS), y = p.y->longs(DIMS);
    g.n = x[0];
    g.c = x[1];
    g.o = w[0];
    g.groups = x[1] / w[1];
    g.taps = 1;
    for (int i = 0; i < 3; i++) {
        g.in[i] = axis(x, 2, i, 1);
        g.out[i] = axis(y, 2, i, 1);
        g.kernel[i] = axis(w, 2, i, 1);
        g.stride[i] = axis(p.stride, 0, i, 1);
        g.padding[i] = axis(p.padding, 0, i, 0);
        g.dilation[i] = axis(p.dilation, 0, i, 1);
        g.taps *= g.kernel[i];
    }
    return g;
}

/* How far rows, each one position's channels, are apart: the stride of the last axis. */
int64_t apart(const Descriptor *t) { return t->longs(TENSOR_STRIDES).back(); }

/* Rows may lie further apart than they are long; nothing else may lie between others. */
bool channels_last(const Descriptor *t) {
    auto dims = t->longs(DIMS), strides = t->longs(TENSOR_STRIDES);
    int64_t step = apart(t);
    if (strides[1] != 1 || step < dims[1]) return false;
    for (size_t i = dims.size() - 1; i >= 2; i--) {
        if (strides[i] != step) return false;
        step *= dims[i];
    }
    return strides[0] == step;
}

int64_t elements(const Descriptor *t) {
    int64_t n = 1;
    for (int64_t d : t->longs(DIMS)) n *= d;
    return n;
}

std::vector<float> read(const Descriptor *t, const void *p) {
    int64_t n = elements(t), c = t->longs(DIMS)[1], ld = apart(t);
    std::vector<float> v((size_t)n);
    for (int64_t r = 0; r < n / c; r++)
        for (int64_t i = 0; i < c; i++) v[(size_t)(r * c + i)] = emulation::load(type_of(t), p, r * ld + i);
    return v;
}

void write(const Descriptor *t, void *p, const std::vector<float> &v) {
    int64_t c = t->longs(DIMS)[1], ld = apart(t);
    for (int64_t r = 0; r < (int64_t)v.size() / c; r++)
        for (int64_t i = 0; i < c; i++) emulation::store(type_of(t), p, r * ld + i, v[(size_t)(r * c + i)]);
}

/* Calls visit(tap, row of x) for every tap of an output position; row is -1 in the padding. */
template <class F> void each_tap(const Geometry &g, int64_t position, F visit) {
    int64_t at[3], rest = position;
    for (int i = 2; i >= 0; i--) {
        at[i] = rest % g.out[i];
        rest /= g.out[i];
    }
    for (int64_t tap = 0; tap < g.taps; tap++) {
        int64_t k[3] = {tap / g.kernel[2] / g.kernel[1], tap / g.kernel[2] % g.kernel[1], tap % g.kernel[2]};
        int64_t row = rest;
        for (int i = 0; i < 3 && row >= 0; i++) {
            int64_t p = at[i] * g.stride[i] - g.padding[i] + k[i] * g.dilation[i];
            row = p < 0 || p >= g.in[i] ? -1 : row * g.in[i] + p;
        }
        visit(tap, row);
    }
}

const int64_t ROWS = 256; /* output positions at a time */

/* windows[rows, depth] of one group. */
void gather(const Geometry &g, const float *x, int64_t group, int64_t first, int64_t rows, float *windows) {
    int64_t width = g.c / g.groups;
    for (int64_t r = 0; r < rows; r++)
        each_tap(g, first + r, [&](int64_t tap, int64_t row) {
            float *to = windows + (r * g.taps + tap) * width;
            if (row < 0) std::fill(to, to + width, 0.0f);
            else std::copy_n(x + row * g.c + group * width, width, to);
        });
}

void scatter(const Geometry &g, const float *windows, int64_t group, int64_t first, int64_t rows, float *x) {
    int64_t width = g.c / g.groups;
    for (int64_t r = 0; r < rows; r++)
        each_tap(g, first + r, [&](int64_t tap, int64_t row) {
            const float *from = windows + (r * g.taps + tap) * width;
            for (int64_t i = 0; row >= 0 && i < width; i++) x[row * g.c + group * width + i] += from[i];
        });
}

void transpose(const float *x, int64_t rows, int64_t columns, int64_t leading, float *y) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) y[c * rows + r] = x[r * leading + c];
}

void one_group(const Problem &p, const Geometry &g, int64_t group, float *x, float *w, float *y) {
    int64_t depth = g.depth(), outs = g.o / g.groups, all = g.positions();
    float *weights = w + group * outs * depth;
    std::vector<float> windows(ROWS * depth), part(ROWS * outs), turned(depth * std::max(outs, ROWS)), other(ROWS * outs);
    if (p.kind == FORWARD) transpose(weights, outs, depth, depth, turned.data());
    for (int64_t first = 0; first < all; first += ROWS) {
        int64_t rows = std::min(ROWS, all - first);
        if (p.kind != BACKWARD_DATA) gather(g, x, group, first, rows, windows.data());
        if (p.kind != FORWARD)
            for (int64_t r = 0; r < rows; r++)
                std::copy_n(y + (first + r) * g.o + group * outs, outs, part.data() + r * outs);
        if (p.kind == FORWARD) {
            std::fill(part.begin(), part.end(), 0.0f);
            emulation::multiply(windows.data(), turned.data(), part.data(), rows, outs, depth);
            for (int64_t r = 0; r < rows; r++)
                std::copy_n(part.data() + r * outs, outs, y + (first + r) * g.o + group * outs);
        } else if (p.kind == BACKWARD_DATA) {
            std::fill(windows.begin(), windows.end(), 0.0f);
            emulation::multiply(part.data(), weights, windows.data(), rows, depth, outs);
            scatter(g, windows.data(), group, first, rows, x);
        } else {
            transpose(part.data(), rows, outs, outs, other.data());
            emulation::multiply(other.data(), windows.data(), weights, outs, depth, rows);
        }
    }
}
} // namespace

int64_t extent(const Descriptor *t) { return (elements(t) / t->longs(DIMS)[1] - 1) * apart(t) + t->longs(DIMS)[1]; }

int read_problem(const Descriptor *op, Problem *p) {
    p->kind = op->kind;
    int first = op->kind == FORWARD ? 700 : op->kind == BACKWARD_DATA ? 706 : 712;
    p->alpha = op->values.at(first).at<float>(0);
    p->beta = op->values.at(first + 1).at<float>(0);
    const Descriptor *conv = op->child(first + 2);
    const Descriptor *a = op->child(first + 3), *b = op->child(first + 4), *c = op->child(first + 5);
    /* forward: w, x, y; data: w, dx, dy; filter: dw, x, dy */
    p->w = a;
    p->x = b;
    p->y = c;
    p->stride = conv->longs(STRIDES);
    p->padding = conv->longs(PRE);
    p->dilation = conv->longs(DILATIONS);
    auto x = p->x->longs(DIMS), w = p->w->longs(DIMS), y = p->y->longs(DIMS), post = conv->longs(POST);
    size_t axes = (size_t)conv->number(SPATIAL);
    if (x.size() != axes + 2 || w.size() != axes + 2 || y.size() != axes + 2)
        return refuse(SHAPE_MISMATCH, "tensors have not two dimensions more than the convolution");
    if (w[1] == 0 || x[1] % w[1] || w[0] % (x[1] / w[1]) || y[1] != w[0] || y[0] != x[0])
        return refuse(SHAPE_MISMATCH, "batch, channels and groups do not fit");
    for (size_t i = 0; i < axes; i++) {
        int64_t reach = p->dilation[i] * (w[2 + i] - 1) + 1;
        int64_t room = x[2 + i] + p->padding[i] + post[i] - reach;
        if (room < 0 || y[2 + i] != room / p->stride[i] + 1) return refuse(SHAPE_MISMATCH, "the output's size is wrong");
    }
    if (!channels_last(p->x) || !channels_last(p->w) || !channels_last(p->y))
        return refuse(NOT_SUPPORTED_LAYOUT, "only channels-last tensors are emulated");
    if (type_of(p->x) != type_of(p->y) || (op->kind != BACKWARD_FILTER && type_of(p->x) != type_of(p->w)))
        return refuse(NOT_SUPPORTED_DATA_TYPE, "operands of several types");
    return p->alpha == 1 && p->beta == 0 ? SUCCESS : refuse(NOT_SUPPORTED, "only alpha 1 and beta 0 are emulated");
}

int convolve(const Problem &p, void *x, void *w, void *y) {
    Geometry g = geometry(p);
    const Descriptor *result = p.kind == FORWARD ? p.y : p.kind == BACKWARD_DATA ? p.x : p.w;
    void *to = p.kind == FORWARD ? y : p.kind == BACKWARD_DATA ? x : w;
    std::vector<float> fx = read(p.x, x), fw = read(p.w, w), fy = read(p.y, y);
    std::vector<float> &out = p.kind == FORWARD ? fy : p.kind == BACKWARD_DATA ? fx : fw;
    std::fill(out.begin(), out.end(), 0.0f);
    for (int64_t group = 0; group < g.groups; group++) one_group(p, g, group, fx.data(), fw.data(), fy.data());
    write(result, to, out);
    return 0;
}
} // namespace cudnn
