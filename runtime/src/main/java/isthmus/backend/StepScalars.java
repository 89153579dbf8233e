package isthmus.backend;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Numbers that change from step to step and that kernels read from memory, so that a program is never re-bound: the run's
 * seed (int64 at 0), the step's number (int64 at 8) and the factor on the loss's gradient (float32 at 16).
 */
public record StepScalars(MemorySegment segment) {
    /** Size in bytes. */
    public static final long BYTES = 64;

    /** Sets the seed of all counter-based randomness. */
    public void seed(long seed) {
        segment.set(ValueLayout.JAVA_LONG, 0, seed);
    }

    /** Sets the step's number. */
    public void step(long step) { segment.set(ValueLayout.JAVA_LONG, 8, step); }

    /** Sets the factor on the loss's gradient: 1 unless half precision needs more; see {@link isthmus.op.LossScale}. */
    public void lossScale(float scale) {
        segment.set(ValueLayout.JAVA_FLOAT, 16, scale);
    }

    /** The run's seed. */
    public long seed() { return segment.get(ValueLayout.JAVA_LONG, 0); }

    /** The step's number. */
    public long step() { return segment.get(ValueLayout.JAVA_LONG, 8); }

    /** The factor on the loss's gradient. */
    public float lossScale() {
        return segment.get(ValueLayout.JAVA_FLOAT, 16);
    }
}
