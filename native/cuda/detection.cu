/* The loss of an anchor-based detector on its joined maps (see ist_detection_loss): every anchor gets a key to be
 * compared by, one block a sample chooses the anchors that are classified, then one block sums. No atomics: the same bits every
 * time. */
#include "kernel.cuh"

#define DRAW_GOLDEN 0x9E3779B97F4A7C15ull
/* What the draws are for; ops of the graph count from 0. */
#define DRAW_OP (-1)

/* What lies where in a sample's row. */
struct Maps {
    i64 levels, anchors, classes, codes, positions[8];
};
#define MAPS_PARAMETERS \
    i64 levels, i64 anchors, i64 classes, i64 codes, i64 p0, i64 p1, i64 p2, i64 p3, i64 p4, i64 p5, i64 p6, i64 p7
#define MAPS_OF_PARAMETERS {levels, anchors, classes, codes, {p0, p1, p2, p3, p4, p5, p6, p7}}

INLINE i64 positions_of(const Maps &m) {
    i64 all = 0;
    for (i64 l = 0; l < m.levels; l++) all += m.positions[l];
    return all;
}

/* An anchor's first class logit, or its first box code; the next ones are *step apart. */
INLINE i64 place(const Maps &m, i64 anchor, bool code, i64 *step) {
    i64 l = 0, before = 0, channels = code ? m.codes : m.classes;
    while (l + 1 < m.levels && anchor >= (before + m.positions[l]) * m.anchors) before += m.positions[l++];
    *step = m.positions[l];
    return (code ? positions_of(m) * m.anchors * m.classes : 0) + before * m.anchors * channels +
           anchor % m.anchors * channels * m.positions[l] + anchor / m.anchors - before;
}

INLINE u64 draw_mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* The key of a logit that is no number; no other has it. */
#define NO_NUMBER 0xffffffffffffffffull

/* keys [batch, anchors], greater for better anchors: by the greatest logit, of equal ones the lower number; never 0. */
KERNEL detection_keys(const float *maps, u64 *keys, i64 batch, MAPS_PARAMETERS) {
    Maps m = MAPS_OF_PARAMETERS;
    i64 total = positions_of(m) * m.anchors;
    EACH(i, batch * total) {
        i64 anchor = i % total, step, at = place(m, anchor, false, &step);
        const float *x = maps + i / total * total * (m.classes + m.codes);
        float score = x[at];
        for (i64 k = 1; k < m.classes; k++) {
            float other = x[at + k * step];
            score = other > score || other != other ? other : score;
        }
        unsigned bits = __float_as_uint(score == 0 ? 0.0f : score);
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
        keys[i] = score != score ? NO_NUMBER : (u64)bits << 32 | (0xffffffffu - (unsigned)anchor);
    }
}
HOST_KERNEL(detection_keys)

/* Chooses `count` of n at random, to the front of them. */
INLINE void shuffle(int *v, i64 count, i64 n, u64 key, i64 first) {
    for (i64 i = 0; i < count; i++) {
        i64 j = i + (i64)((draw_mix(key + (u64)(first + i) * DRAW_GOLDEN) >> 40) * (u64)(n - i) >> 24);
        int swap = v[i];
        v[i] = v[j];
        v[j] = swap;
    }
}

/* The n greatest of the keys, in any order; by a search for the n-th one. */
INLINE void best(const u64 *keys, i64 anchors, i64 n, u64 *list) {
    __shared__ i64 offsets[THREADS + 1];
    u64 least = 0;
    for (int bit = 63; bit >= 0; bit--) {
        double count = 0;
        u64 tried = least | 1ull << bit;
#pragma unroll 1
        for (i64 i = threadIdx.x; i < anchors; i += THREADS) count += keys[i] >= tried;
        if (block_sum(count) >= n) least = tried;
    }
    least = least > 0 ? least : 1;
    i64 mine = 0;
#pragma unroll 1
    for (i64 i = threadIdx.x; i < anchors; i += THREADS) mine += keys[i] >= least;
    __syncthreads();
    offsets[threadIdx.x + 1] = mine;
    __syncthreads();
    if (threadIdx.x == 0) {
        offsets[0] = 0;
#pragma unroll 1
        for (int t = 0; t < THREADS; t++) offsets[t + 1] += offsets[t];
    }
    __syncthreads();
    i64 at = offsets[threadIdx.x];
#pragma unroll 1
    for (i64 i = threadIdx.x; i < anchors && at < n; i += THREADS)
        if (keys[i] >= least) list[at++] = keys[i];
}

/* Numbers that are noted of a sample: rows, positives, negatives, whether something is no number or no anchor, candidates. */
#define COUNTS 5

/* A block a sample. chosen [capacity + most]: rows of targets; then, from capacity on, room for the anchors that negatives
 * are drawn from, whose keys are in the list. factor: negatives a positive. */
KERNEL detection_choose(const float *targets, u64 *all_keys, u64 *all_lists, int *all_chosen,
                        i64 *all_counts, i64 total, i64 classes, i64 row, i64 capacity, i64 most_positives,
                        i64 least_negatives, double factor, double pool, i64 most) {
    i64 sample = blockIdx.x, rows = 0;
    const float *t = targets + sample * capacity * row;
    u64 *keys = all_keys + sample * total;
    int *chosen = all_chosen + sample * (capacity + most);
    double bad = 0, others = 0;
    while (rows < capacity && t[rows * row] >= 0) rows++;
    for (i64 i = threadIdx.x; i < total; i += THREADS) bad += keys[i] == NO_NUMBER;
    __syncthreads();
    for (i64 r = threadIdx.x; r < rows; r += THREADS) {
        bool known = t[r * row] < total && t[r * row + 1] >= 0 && t[r * row + 1] < classes;
        bad += !known;
        if (known) keys[(i64)t[r * row]] = 0;
        chosen[r] = (int)r;
    }
    __syncthreads();
    for (i64 i = threadIdx.x; i < total; i += THREADS) others += keys[i] > 0;
    others = block_sum(others);
    bad = block_sum(bad);
    i64 positives = rows < most_positives ? rows : most_positives;
    i64 negatives = (i64)((double)(positives > 1 ? positives : 1) * factor);
    negatives = negatives > least_negatives ? negatives : least_negatives;
    negatives = negatives < (i64)others ? negatives : (i64)others;
    i64 candidates = (i64)((double)negatives * pool);
    candidates = candidates < (i64)others ? candidates : (i64)others;
    best(keys, total, candidates, all_lists + sample * most);
    if (threadIdx.x != 0) return;
    i64 *counts = all_counts + COUNTS * sample;
    counts[0] = rows;
    counts[1] = positives;
    counts[2] = negatives;
    counts[3] = bad > 0;
    counts[4] = candidates;
}
HOST_KERNEL_SYNC(detection_choose)

/* The listed anchors in order, the hardest first: each goes behind those that are harder. Blocks: y a sample. */
KERNEL detection_sort(const u64 *all_lists, int *all_chosen, const i64 *all_counts, i64 capacity, i64 most) {
    i64 sample = blockIdx.y, n = all_counts[COUNTS * sample + 4];
    const u64 *list = all_lists + sample * most;
    int *sorted = all_chosen + sample * (capacity + most) + capacity;
    EACH(i, n) {
        i64 rank = 0;
        for (i64 j = 0; j < n; j++) rank += list[j] > list[i];
        sorted[rank] = (int)(0xffffffffu - (unsigned)list[i]);
    }
}
HOST_KERNEL(detection_sort)

/* A thread a sample: which of the rows and of the candidates are taken. */
KERNEL detection_draw(const i64 *state, int *all_chosen, const i64 *all_counts, i64 batch, i64 capacity, i64 most) {
    u64 key = draw_mix((u64)state[0] ^ draw_mix((u64)state[1] * DRAW_GOLDEN + (u64)(i64)DRAW_OP));
    EACH(sample, batch) {
        int *chosen = all_chosen + sample * (capacity + most);
        const i64 *counts = all_counts + COUNTS * sample;
        shuffle(chosen, counts[1], counts[0], key, sample << 32);
        shuffle(chosen + capacity, counts[2], counts[4], key, (sample << 32) + (1ll << 31));
    }
}
HOST_KERNEL(detection_draw)

/* Cross-entropy of one anchor; label: its class, or -1 for background. */
INLINE double classify(const Maps &m, const float *x, i64 anchor, i64 label, double share, float *gradient) {
    i64 step, at = place(m, anchor, false, &step);
    double sum = 0;
    for (i64 k = 0; k < m.classes; k++) {
        double v = x[at + k * step], y = k == label;
        sum += (v > 0 ? v : 0) - v * y + log1p(exp(v > 0 ? -v : v));
        gradient[at + k * step] = (float)(share * (1 / (1 + exp(-v)) - y));
    }
    return sum * share;
}

INLINE double regress(const Maps &m, const float *x, const float *target, double beta, double share, float *gradient) {
    i64 step, at = place(m, (i64)target[0], true, &step);
    double sum = 0;
    for (i64 j = 0; j < m.codes; j++) {
        double v = (double)x[at + j * step] - target[2 + j], size = v < 0 ? -v : v;
        bool near = size < beta;
        sum += near ? 0.5 * v * v / beta : size - 0.5 * beta;
        gradient[at + j * step] = (float)(share * (near ? v / beta : v > 0 ? 1.0 : v < 0 ? -1.0 : 0.0));
    }
    return sum * share;
}

/* One block; the gradient is zero before. */
KERNEL detection_loss(const float *maps, const float *targets, const int *all_chosen, const i64 *counts, float *loss,
                      float *gradient, i64 batch, i64 capacity, double beta, double class_weight, double box_weight,
                      i64 most, MAPS_PARAMETERS) {
    Maps m = MAPS_OF_PARAMETERS;
    i64 length = positions_of(m) * m.anchors * (m.classes + m.codes), row = 2 + m.codes, classified = 0, matched = 0, bad = 0;
    for (i64 s = 0; s < batch; s++) {
        classified += counts[COUNTS * s + 1] + counts[COUNTS * s + 2];
        matched += counts[COUNTS * s];
        bad += counts[COUNTS * s + 3];
    }
    double class_share = classified > 0 ? class_weight / (double)(classified * m.classes) : 0;
    double box_share = matched > 0 ? box_weight / (double)(matched * m.codes) : 0, mine = 0;
    for (i64 s = 0; s < batch && bad == 0; s++) {
        const float *x = maps + s * length, *t = targets + s * capacity * row;
        const int *chosen = all_chosen + s * (capacity + most);
        float *g = gradient + s * length;
        i64 positives = counts[COUNTS * s + 1];
        for (i64 i = threadIdx.x; i < positives; i += THREADS) {
            const float *target = t + chosen[i] * row;
            mine += classify(m, x, (i64)target[0], (i64)target[1], class_share, g);
        }
        for (i64 i = threadIdx.x; i < counts[COUNTS * s + 2]; i += THREADS)
            mine += classify(m, x, chosen[capacity + i], -1, class_share, g);
        for (i64 r = threadIdx.x; r < counts[COUNTS * s]; r += THREADS)
            mine += regress(m, x, t + r * row, beta, box_share, g);
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) *loss = bad > 0 ? __uint_as_float(0x7fc00000u) : (float)mine;
}
HOST_KERNEL_SYNC(detection_loss)
