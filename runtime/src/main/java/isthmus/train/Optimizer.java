package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.DeviceUpdate;
import isthmus.backend.WeightMath;
import isthmus.bindings.kernels.KernelStructs;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Changes the trainable weights of a buffer, one fused pass a {@link Stretch}; the gradient's norm and whether it is finite
 * come from one pass over all. Moments lie in one buffer, part after part in the weights' order, under PyTorch's names
 * ({@code exp_avg.fc.weight}). A step allocates nothing.
 */
final class Optimizer {
    private static final ValueLayout.OfDouble F64 = ValueLayout.JAVA_DOUBLE;
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG;

    private final OptimizerSpec spec;
    private final Backend backend;
    private final WeightMath math;
    private final Arena arena;
    private final long n;
    private final MemorySegment weights;
    private final MemorySegment gradients;
    private final WeightBuffer state;
    private final List<Stretch> stretches;
    private final Pass[] passes;
    private final MemorySegment sumOfSquares;
    private final MemorySegment nonFinite;
    private MemorySegment anchor = MemorySegment.NULL;
    private double proximal;
    private long step;
    private double norm = Double.NaN;

    /** One stretch's native call: its memory, its constants, and the learning rate it multiplies. */
    private record Pass(MemorySegment weights, MemorySegment gradients, MemorySegment first, MemorySegment second,
            MemorySegment third, MemorySegment options, double learningRate, long n) {}

    Optimizer(OptimizerSpec spec, List<ParameterGroup> groups, WeightBuffer weights, WeightBuffer gradients,
            Backend backend, Arena arena) {
        WeightTable.Range range = weights.table().range(Region.TRAINABLE);
        this.stretches = Stretch.of(weights.table(), groups, spec.weightDecay());
        this.spec = spec;
        this.backend = backend;
        this.math = backend.math();
        this.arena = arena;
        this.n = range.length();
        this.weights = weights.range(range);
        this.gradients = gradients.range(range);
        WeightTable table = stateTable(spec, weights.table());
        this.state = new WeightBuffer(table, table.bytes() == 0
                ? MemorySegment.NULL
                : backend.allocate(table.bytes(), arena));
        this.passes = stretches.stream().map(this::pass).toArray(Pass[]::new);
        this.sumOfSquares = backend.allocate(F64.byteSize(), arena);
        this.nonFinite = backend.allocate(I64.byteSize(), arena);
    }

    /** Names and shapes of an optimizer's moments. */
    static WeightTable stateTable(OptimizerSpec spec, WeightTable weights) {
        List<String> parts = switch (spec) {
            case OptimizerSpec.Sgd s -> s.momentum() == 0 ? List.of() : List.of("momentum_buffer");
            case OptimizerSpec.Adam a -> a.amsgrad()
                    ? List.of("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
                    : List.of("exp_avg", "exp_avg_sq");
        };
        WeightTable.Builder table = WeightTable.builder();
        for (String part : parts)
            for (WeightTable.Entry e : weights.entries())
                if (e.region() == Region.TRAINABLE) table.add(part + "." + e.name(), e.shape(), Region.TRAINABLE);
        return table.build();
    }

    private Pass pass(Stretch s) {
        MemorySegment options = backend.allocate(KernelStructs.ADAM_BYTES, arena);
        switch (spec) {
            case OptimizerSpec.Sgd o ->
                KernelStructs.putSgd(options, 0, o.momentum(), 0, s.weightDecay(), 1, 1, o.nesterov());
            case OptimizerSpec.Adam o ->
                KernelStructs.putAdam(options, 0, o.beta1(), o.beta2(), o.epsilon(), s.weightDecay(), 1, 1,
                        o.decoupled());
        }
        return new Pass(of(weights, 0, s), of(gradients, 0, s), of(state.segment(), 0, s), of(state.segment(), 1, s),
                of(state.segment(), 2, s), options, spec.learningRate() * s.learningRateFactor(), s.length());
    }

    /** The stretch in part {@code part} of a segment; NULL where the segment has no such part. */
    private MemorySegment of(MemorySegment all, int part, Stretch s) {
        long offset = (part * n + s.offset()) * Float.BYTES;
        return offset < all.byteSize() ? all.asSlice(offset, s.length() * Float.BYTES) : MemorySegment.NULL;
    }

    /** Bytes that the pass over all weights reads and writes. */
    long traffic() { return traffic(n, state.table()); }

    /** The same before there is an optimizer. */
    static long traffic(OptimizerSpec spec, WeightTable weights) {
        return traffic(weights.range(Region.TRAINABLE).length(), stateTable(spec, weights));
    }

    private static long traffic(long n, WeightTable state) { return 3 * n * Float.BYTES + 2 * state.bytes(); }

    /** Forgets moments and step count. */
    void reset() {
        step = 0;
        state().segment().fill((byte) 0);
    }

    /** Moments, all parts; empty for an optimizer that has none. */
    WeightBuffer state() {
        backend.toHost(state.segment());
        return state;
    }

    /** Steps that changed the weights since the last reset. */
    long steps() { return step; }

    /** Takes up where another run was, whose moments are in {@link #state()} already. */
    void resume(long steps) {
        step = steps;
    }

    /** The device has made steps alone, as {@link #moments} and so on told it. */
    void resume(long steps, double lastNorm) {
        step = steps;
        norm = lastNorm;
    }

    /** Where weights are pulled to; the null segment for nowhere. */
    MemorySegment anchor() {
        return proximal == 0 ? MemorySegment.NULL : anchor;
    }

    /** How strongly. */
    double proximal() { return proximal; }

    /** The memory of the moments, wherever they are newest. */
    MemorySegment moments() { return state.segment(); }

    /** What learns alike, for a device. */
    List<DeviceUpdate.Stretch> stretches() {
        return stretches.stream().map(s -> new DeviceUpdate.Stretch(s.offset(), s.length(),
                spec.learningRate() * s.learningRateFactor(), s.weightDecay())).toList();
    }

    /** The rule, for a device. */
    DeviceUpdate.Method method() {
        return switch (spec) {
            case OptimizerSpec.Sgd s -> new DeviceUpdate.Method.Sgd(s.momentum(), s.nesterov());
            case OptimizerSpec.Adam a ->
                new DeviceUpdate.Method.Adam(a.beta1(), a.beta2(), a.epsilon(), a.decoupled());
        };
    }

    /** L2 norm of the last step's gradient before clipping; NaN if nothing asked for it. */
    double norm() {
        return norm;
    }

    /** From now on pulls with strength {@code mu} towards the weights as they are now; 0 stops it. */
    void anchor(double mu) {
        proximal = mu;
        if (mu == 0) return;
        if (anchor.address() == 0) anchor = backend.allocate(n * Float.BYTES, arena);
        math.copy(weights, anchor, n);
    }

    /**
     * One step: proximal pull, clipping to {@code clipNorm} (0: none), update with {@code factor} times the learning rates.
     *
     * @param times how many times too large the gradients are: scale of the loss, times micro-batches summed
     * @param check whether to look for infinite gradients even where nothing is clipped
     * @return whether all gradients that were looked at are finite; if not, nothing has changed
     */
    boolean step(double factor, double clipNorm, double times, boolean check) {
        if (proximal != 0) math.proximal(gradients, weights, anchor, (float) (proximal * times), n);
        double scale = 1 / times;
        norm = Double.NaN;
        if (clipNorm > 0 || check) {
            math.gradientNorm(gradients, n, sumOfSquares, nonFinite);
            backend.toHost(nonFinite);
            backend.toHost(sumOfSquares);
            if (nonFinite.get(I64, 0) != 0) return false;
            norm = Math.sqrt(sumOfSquares.get(F64, 0)) / times;
            if (clipNorm > 0) scale *= Math.min(1, clipNorm / (norm + 1e-6));
        }
        step++;
        for (Pass p : passes)
            run(p, factor, scale);
        return true;
    }

    private void run(Pass p, double factor, double scale) {
        p.options.set(F64, 0, p.learningRate * factor);
        switch (spec) {
            case OptimizerSpec.Sgd s -> {
                p.options.set(F64, KernelStructs.SGD_GRADIENT_SCALE, scale);
                p.options.set(I64, KernelStructs.SGD_STEP, step);
                math.sgd(p.options, p.weights, p.gradients, p.first, p.n);
            }
            case OptimizerSpec.Adam a -> {
                p.options.set(F64, KernelStructs.ADAM_GRADIENT_SCALE, scale);
                p.options.set(I64, KernelStructs.ADAM_STEP, step);
                math.adam(p.options, p.weights, p.gradients, p.first, p.second, p.third, p.n);
            }
        }
    }
}
