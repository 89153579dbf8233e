package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Losses with their gradients; as {@link Kernels}, which says what all calls share. */
public final class LossKernels {
    private LossKernels() {}

    /** Mean focal loss over known labels (not negative); positiveWeights and gradient may be NULL. */
    public static void focal(MemorySegment logits, MemorySegment labels, MemorySegment positiveWeights, double gamma,
            double alpha, MemorySegment loss, MemorySegment gradient, long n, long c) {
        try {
            check("ist_focal", (int) Table.FOCAL.invokeExact(logits, labels, positiveWeights, gamma, alpha, loss, gradient, n, c));
        } catch (Throwable t) {
            throw failure("ist_focal", t);
        }
    }
}
