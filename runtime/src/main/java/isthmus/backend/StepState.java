package isthmus.backend;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What a training step that a device decides alone knows from step to step: counts, scale of the loss, sum of losses. Lies in
 * shared memory, as {@code StepState} of {@code optim.cu}: the host writes it before a run of steps and reads it after.
 */
public record StepState(MemorySegment segment) {
    /** Size in bytes. */
    public static final long BYTES = 160;
    /** Why no further step changes anything: not at all, or the first that applies. */
    public static final long GOES_ON = 0;
    public static final long LOSS_NOT_FINITE = 1;
    public static final long GRADIENT_NOT_FINITE = 2;
    public static final long SCALE_TOO_SMALL = 3;

    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG;
    private static final ValueLayout.OfDouble F64 = ValueLayout.JAVA_DOUBLE;

    /**
     * Begins a run of steps; the course's first row is for the first.
     *
     * @param step number of the next step, in the schedule and of all randomness
     * @param updates steps that the optimizer has made
     * @param good steps since the scale has changed
     * @param scale factor on the loss; 1 for none
     * @param averaged steps of the weights' average
     * @param proximal FedProx's mu
     */
    public void begin(long step, long updates, long good, double scale, long averaged, double proximal) {
        segment.fill((byte) 0);
        segment.setAtIndex(I64, 0, step);
        segment.setAtIndex(I64, 1, step);
        segment.setAtIndex(I64, 18, averaged);
        segment.setAtIndex(F64, 19, proximal);
        segment.setAtIndex(I64, 2, updates);
        segment.setAtIndex(I64, 3, good);
        segment.setAtIndex(F64, 4, scale);
        segment.setAtIndex(F64, 7, Double.NaN);
        segment.setAtIndex(F64, 8, Double.NaN);
    }

    /** Lets the course's first row be for the next step. */
    public void turn() { segment.setAtIndex(I64, 1, step()); }

    /** Number of the next step. */
    public long step() { return segment.getAtIndex(I64, 0); }

    /** Steps that the optimizer has made. */
    public long updates() { return segment.getAtIndex(I64, 2); }

    /** Good steps since the scale has changed. */
    public long good() { return segment.getAtIndex(I64, 3); }

    /** Factor on the loss. */
    public double scale() { return segment.getAtIndex(F64, 4); }

    /** Sum of the losses of all samples whose loss was finite. */
    public double lossSum() {
        return segment.getAtIndex(F64, 5);
    }

    /** How many samples these are. */
    public double samples() { return segment.getAtIndex(F64, 6); }

    /** The last batch's loss. */
    public double loss() { return segment.getAtIndex(F64, 7); }

    /** L2 norm of the last gradient that was looked at and finite. */
    public double norm() {
        return segment.getAtIndex(F64, 8);
    }

    /** Steps of the weights' average. */
    public long averaged() { return segment.getAtIndex(I64, 18); }

    /** Why it has stopped, or {@link #GOES_ON}. */
    public long stop() { return segment.getAtIndex(I64, 9); }

    /** Steps that were left out because of an overflow. */
    public long skipped() { return segment.getAtIndex(I64, 10); }
}
