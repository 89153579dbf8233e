package isthmus.train;

import isthmus.backend.Backend;
import isthmus.bindings.kernels.KernelStructs;
import isthmus.bindings.kernels.Kernels;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Changes the trainable stretch of a weight buffer in one fused pass; moments lie in buffers of the same layout. Gradient
 * norm and clip factor are computed natively and never leave native memory. A step allocates nothing.
 */
final class Optimizer {
    private static final ValueLayout.OfDouble F64 = ValueLayout.JAVA_DOUBLE;
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG;

    private final OptimizerSpec spec;
    private final Backend backend;
    private final Arena arena;
    private final long n;
    private final MemorySegment weights;
    private final MemorySegment gradients;
    private final MemorySegment first;
    private final MemorySegment second;
    private final MemorySegment secondMax;
    private final MemorySegment options;
    private final MemorySegment scaleInOptions;
    private final MemorySegment sumOfSquares;
    private MemorySegment anchor = MemorySegment.NULL;
    private double proximal;
    private long step;

    Optimizer(OptimizerSpec spec, WeightBuffer weights, WeightBuffer gradients, Backend backend, Arena arena) {
        WeightTable.Range range = weights.table().range(Region.TRAINABLE);
        this.spec = spec;
        this.backend = backend;
        this.arena = arena;
        this.n = range.length();
        this.weights = weights.range(range);
        this.gradients = gradients.range(range);
        boolean momentum = !(spec instanceof OptimizerSpec.Sgd s) || s.momentum() != 0;
        boolean adam = spec instanceof OptimizerSpec.Adam;
        boolean amsgrad = spec instanceof OptimizerSpec.Adam a && a.amsgrad();
        this.first = momentum ? state() : MemorySegment.NULL;
        this.second = adam ? state() : MemorySegment.NULL;
        this.secondMax = amsgrad ? state() : MemorySegment.NULL;
        this.options = arena.allocate(KernelStructs.ADAM_BYTES, Long.BYTES);
        this.scaleInOptions = options
                .asSlice(adam ? KernelStructs.ADAM_GRADIENT_SCALE : KernelStructs.SGD_GRADIENT_SCALE, Double.BYTES);
        this.sumOfSquares = arena.allocate(F64);
        constants();
    }

    /** Memory that the moments take. */
    long bytes() {
        return first.byteSize() + second.byteSize() + secondMax.byteSize();
    }

    private MemorySegment state() { return backend.allocate(n * Float.BYTES, arena); }

    /** Writes the C library's option struct; learning rate, gradient scale and step change from step to step. */
    private void constants() {
        switch (spec) {
            case OptimizerSpec.Sgd s ->
                KernelStructs.putSgd(options, 0, s.momentum(), 0, s.weightDecay(), 1, 1, s.nesterov());
            case OptimizerSpec.Adam a ->
                KernelStructs.putAdam(options, 0, a.beta1(), a.beta2(), a.epsilon(), a.weightDecay(), 1, 1,
                        a.decoupled());
        }
    }

    /** Forgets moments and step count. */
    void reset() {
        step = 0;
        for (MemorySegment s : new MemorySegment[]{first, second, secondMax})
            if (s.address() != 0) s.fill((byte) 0);
    }

    /** From now on pulls with strength {@code mu} towards the weights as they are now; 0 stops it. */
    void anchor(double mu) {
        proximal = mu;
        if (mu == 0) return;
        if (anchor.address() == 0) anchor = state();
        anchor.copyFrom(weights);
    }

    /** One step: proximal pull, clipping to {@code clipNorm} (0: none), update with {@code factor} times the learning rate. */
    void step(double factor, double clipNorm) {
        step++;
        if (proximal != 0) Kernels.proximal(gradients, weights, anchor, (float) proximal, n);
        scaleInOptions.set(F64, 0, 1);
        if (clipNorm > 0) {
            Kernels.sumOfSquares(gradients, n, sumOfSquares);
            Kernels.clipFactor(sumOfSquares, clipNorm, scaleInOptions);
        }
        options.set(F64, 0, spec.learningRate() * factor);
        switch (spec) {
            case OptimizerSpec.Sgd s -> {
                options.set(I64, KernelStructs.SGD_STEP, step);
                Kernels.sgd(options, weights, gradients, first, n);
            }
            case OptimizerSpec.Adam a -> {
                options.set(I64, KernelStructs.ADAM_STEP, step);
                Kernels.adam(options, weights, gradients, first, second, secondMax, n);
            }
        }
    }
}
