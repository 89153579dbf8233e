/* The loss of an anchor-based detector on its joined maps: binary cross-entropy over the matched anchors and the hardest of
 * the others, smooth L1 over the matched anchors' box codes. */
#include "random.h"

/* What the draws of this op are for; ops of the graph count from 0. */
#define OP (-1)

/* An anchor by its score; better ones come first, of equals the lower number. */
typedef struct candidate {
    float score;
    int32_t anchor;
} candidate;

/* One sample: its matched anchors are targets [0, matched); chosen holds the positives, then the negatives. */
typedef struct sample {
    int64_t matched, positives, negatives;
    int nan;
    int32_t *chosen;
    candidate *pool;
    uint8_t *taken;
} sample;

INLINE int64_t positions_of(const ist_detection *d) {
    int64_t all = 0;
    for (int64_t l = 0; l < d->levels; l++) all += d->positions[l];
    return all;
}

INLINE int before(candidate a, candidate b) {
    return a.score > b.score || (a.score == b.score && a.anchor < b.anchor);
}

static int compare(const void *a, const void *b) {
    candidate x = *(const candidate *)a, y = *(const candidate *)b;
    return before(x, y) ? -1 : before(y, x);
}

/* Keeps the best `most` in a heap whose root is the worst of them. */
static void offer(candidate *heap, int64_t *size, int64_t most, candidate c) {
    int64_t i;
    if (*size < most) {
        for (i = (*size)++; i > 0 && before(heap[(i - 1) / 2], c); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    } else {
        if (!before(c, heap[0])) return;
        for (i = 0;;) {
            int64_t child = 2 * i + 1;
            if (child + 1 < most && before(heap[child], heap[child + 1])) child++;
            if (child >= most || !before(c, heap[child])) break;
            heap[i] = heap[child];
            i = child;
        }
    }
    heap[i] = c;
}

/* Where the maps of a level begin, and its place among the anchors. */
typedef struct level {
    int64_t positions, classes, codes, anchor;
} level;

INLINE level level_of(const ist_detection *d, int64_t l) {
    int64_t before = 0;
    for (int64_t i = 0; i < l; i++) before += d->positions[i];
    return (level){d->positions[l], before * d->anchors * d->classes,
                   (positions_of(d) * d->classes + before * d->codes) * d->anchors, before * d->anchors};
}

/* The first of an anchor's class logits, which are *step apart. */
INLINE int64_t class_at(const ist_detection *d, int64_t anchor, int64_t *step, int64_t *code) {
    int64_t l = 0;
    level v = level_of(d, 0);
    while (l + 1 < d->levels && anchor >= v.anchor + v.positions * d->anchors) v = level_of(d, ++l);
    int64_t position = (anchor - v.anchor) / d->anchors, a = (anchor - v.anchor) % d->anchors;
    *step = v.positions;
    *code = v.codes + a * d->codes * v.positions + position;
    return v.classes + a * d->classes * v.positions + position;
}

/* The most promising anchors that are not matched. */
static int64_t fill_pool(const ist_detection *d, const float *x, int64_t most, sample *s) {
    int64_t size = 0;
    for (int64_t l = 0; l < d->levels; l++) {
        level v = level_of(d, l);
        for (int64_t a = 0; a < d->anchors; a++) {
            const float *map = x + v.classes + a * d->classes * v.positions;
            for (int64_t p = 0; p < v.positions; p++) {
                int64_t anchor = v.anchor + p * d->anchors + a;
                float score = map[p];
                for (int64_t k = 1; k < d->classes; k++) {
                    float other = map[k * v.positions + p];
                    score = other > score || other != other ? other : score;
                }
                s->nan |= score != score;
                if (!s->taken[anchor]) offer(s->pool, &size, most, (candidate){score, (int32_t)anchor});
            }
        }
    }
    qsort(s->pool, (size_t)size, sizeof(candidate), compare);
    return size;
}

/* Chooses `count` of n numbers at random, to the front of them. */
static void shuffle(int32_t *v, int64_t count, int64_t n, uint64_t key, int64_t first) {
    for (int64_t i = 0; i < count; i++) {
        int64_t j = i + (int64_t)(draw(key, first + i) * (uint64_t)(n - i) >> 24);
        int32_t swap = v[i];
        v[i] = v[j];
        v[j] = swap;
    }
}

static int64_t most_positives(const ist_detection *d) { return (int64_t)((double)d->samples * d->positive_fraction); }

static int64_t most_negatives(const ist_detection *d, int64_t positives) {
    int64_t wanted = (int64_t)((double)(positives > 1 ? positives : 1) * fabs(1 - 1 / d->positive_fraction));
    return wanted > d->least_negatives ? wanted : d->least_negatives;
}

static void choose(const ist_detection *d, const float *x, const float *targets, uint64_t key, int64_t index, sample *s) {
    int64_t anchors = positions_of(d) * d->anchors, draws = index << 32;
    for (int64_t r = 0; r < s->matched; r++) {
        s->chosen[r] = (int32_t)targets[r * (2 + d->codes)];
        s->taken[s->chosen[r]] = 1;
    }
    s->positives = min64(s->matched, most_positives(d));
    shuffle(s->chosen, s->positives, s->matched, key, draws);
    int64_t others = 0;
    for (int64_t i = 0; i < anchors; i++) others += !s->taken[i];
    s->negatives = min64(others, most_negatives(d, s->positives));
    int64_t size = fill_pool(d, x, min64(others, (int64_t)((double)s->negatives * d->pool)), s);
    s->negatives = min64(s->negatives, size);
    int32_t *negative = s->chosen + d->capacity;
    for (int64_t i = 0; i < size; i++) negative[i] = s->pool[i].anchor;
    shuffle(negative, s->negatives, size, key, draws + (1LL << 31));
}

/* Cross-entropy of one anchor; label: its class, or -1 for background. */
static double classify(const ist_detection *d, const float *x, int64_t anchor, int64_t label, double share, float *gradient) {
    int64_t step, code, at = class_at(d, anchor, &step, &code);
    double sum = 0;
    for (int64_t k = 0; k < d->classes; k++) {
        double v = x[at + k * step], y = k == label;
        sum += (v > 0 ? v : 0) - v * y + log1p(exp(-fabs(v)));
        if (gradient) gradient[at + k * step] += (float)(share * (1 / (1 + exp(-v)) - y));
    }
    return sum * share;
}

static double regress(const ist_detection *d, const float *x, const float *target, double share, float *gradient) {
    int64_t step, code;
    class_at(d, (int64_t)target[0], &step, &code);
    double sum = 0;
    for (int64_t j = 0; j < d->codes; j++) {
        double v = (double)x[code + j * step] - target[2 + j], size = fabs(v);
        sum += size < d->beta ? 0.5 * v * v / d->beta : size - 0.5 * d->beta;
        if (gradient)
            gradient[code + j * step] += (float)(share * (size < d->beta ? v / d->beta : (v > 0) - (v < 0)));
    }
    return sum * share;
}

static double sample_loss(const ist_detection *d, const float *x, const float *targets, const sample *s, double class_share,
                          double box_share, float *gradient) {
    int64_t row = 2 + d->codes;
    double sum = 0;
    for (int64_t i = 0; i < s->positives; i++) {
        int64_t label = 0;
        for (int64_t r = 0; r < s->matched; r++)
            if ((int32_t)targets[r * row] == s->chosen[i]) label = (int64_t)targets[r * row + 1];
        sum += classify(d, x, s->chosen[i], label, class_share, gradient);
    }
    for (int64_t i = 0; i < s->negatives; i++)
        sum += classify(d, x, s->chosen[d->capacity + i], -1, class_share, gradient);
    for (int64_t r = 0; r < s->matched; r++) sum += regress(d, x, targets + r * row, box_share, gradient);
    return sum;
}

/* Counts each sample's rows, which end at the first negative anchor. */
static int count_matched(const char *call, const ist_detection *d, const float *targets, sample *samples) {
    int64_t row = 2 + d->codes, anchors = positions_of(d) * d->anchors;
    for (int64_t i = 0; i < d->batch; i++) {
        const float *t = targets + i * d->capacity * row;
        int64_t *n = &samples[i].matched;
        for (*n = 0; *n < d->capacity && t[*n * row] >= 0; (*n)++)
            REQUIRE(t[*n * row] < (float)anchors && t[*n * row + 1] >= 0 && t[*n * row + 1] < (float)d->classes,
                    "%s: row %lld of sample %lld: anchor %g of %lld, class %g of %lld", call, (long long)*n,
                    (long long)i, (double)t[*n * row], (long long)anchors, (double)t[*n * row + 1],
                    (long long)d->classes);
    }
    return IST_OK;
}

static void whole_loss(const ist_detection *d, const float *x, const float *targets, const int64_t *state, sample *samples,
                       float *loss, float *gradient) {
    int64_t length = positions_of(d) * d->anchors * (d->classes + d->codes), rows = d->capacity * (2 + d->codes);
    uint64_t key = key_of(state, OP);
    PARALLEL(d->batch * length, d->batch, 1, for (int64_t i = from; i < to; i++) {
        choose(d, x + i * length, targets + i * rows, key, i, samples + i);
        if (gradient) memset(gradient + i * length, 0, (size_t)length * sizeof(float));
    });
    int64_t chosen = 0, matched = 0;
    int nan = 0;
    for (int64_t i = 0; i < d->batch; i++) {
        chosen += samples[i].positives + samples[i].negatives;
        matched += samples[i].matched;
        nan |= samples[i].nan;
    }
    double class_share = chosen ? d->class_weight / (double)(chosen * d->classes) : 0;
    double box_share = matched ? d->box_weight / (double)(matched * d->codes) : 0, sum = 0;
    for (int64_t i = 0; i < d->batch; i++)
        sum += sample_loss(d, x + i * length, targets + i * rows, samples + i, class_share, box_share,
                           gradient ? gradient + i * length : NULL);
    *loss = nan ? NAN : (float)sum;
}

int KERNEL(detection_loss)(const ist_detection *d, const float *maps, const float *targets, const int64_t *state,
                           float *loss, float *gradient) {
    REQUIRE(d->levels > 0 && d->levels <= 8, "%s: %lld levels; 1 to 8 are possible", __func__, (long long)d->levels);
    int64_t anchors = positions_of(d) * d->anchors;
    REQUIRE(d->batch >= 0 && anchors > 0 && anchors < 1 << 24 && d->classes > 0 && d->codes > 0 && d->capacity > 0,
            "%s: batch %lld, %lld anchors (less than 2^24 are possible), %lld classes, %lld box codes, %lld rows",
            __func__, (long long)d->batch, (long long)anchors, (long long)d->classes, (long long)d->codes,
            (long long)d->capacity);
    REQUIRE(d->samples > 0 && d->positive_fraction > 0 && d->positive_fraction <= 1 && d->pool >= 1 && d->beta >= 0,
            "%s: %lld samples, positive fraction %g, pool %g, beta %g", __func__, (long long)d->samples,
            d->positive_fraction, d->pool, d->beta);
    int64_t most = min64(anchors, (int64_t)((double)most_negatives(d, most_positives(d)) * d->pool));
    sample *samples = calloc((size_t)d->batch + 1, sizeof(sample));
    int32_t *chosen = malloc((size_t)(d->batch * (d->capacity + most) + 1) * sizeof(int32_t));
    candidate *pools = malloc((size_t)(d->batch * most + 1) * sizeof(candidate));
    uint8_t *taken = calloc((size_t)(d->batch * anchors + 1), 1);
    int status = samples && chosen && pools && taken
        ? count_matched(__func__, d, targets, samples)
        : ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld anchors", __func__, (long long)anchors);
    if (!status) {
        for (int64_t i = 0; i < d->batch; i++) {
            samples[i].chosen = chosen + i * (d->capacity + most);
            samples[i].pool = pools + i * most;
            samples[i].taken = taken + i * anchors;
        }
        whole_loss(d, maps, targets, state, samples, loss, gradient);
    }
    free(samples);
    free(chosen);
    free(pools);
    free(taken);
    return status;
}
