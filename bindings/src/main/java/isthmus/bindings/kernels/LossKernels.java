package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Losses with their gradients; as {@link Kernels}, which says what all calls share. */
public final class LossKernels {
    private LossKernels() {}

    /** Mean softmax cross-entropy; rows with a negative label contribute nothing; gradient may be NULL. */
    public static void crossEntropy(MemorySegment logits, MemorySegment labels, MemorySegment loss,
            MemorySegment gradient, long n, long c) {
        try {
            check("ist_cross_entropy", (int) Table.CROSS_ENTROPY.invokeExact(logits, labels, loss, gradient, n, c));
        } catch (Throwable t) {
            throw failure("ist_cross_entropy", t);
        }
    }

    /** Mean binary cross-entropy over known labels (not negative); positiveWeights and gradient may be NULL. */
    public static void bceWithLogits(MemorySegment logits, MemorySegment labels, MemorySegment positiveWeights,
            MemorySegment loss, MemorySegment gradient, long n, long c) {
        try {
            check("ist_bce_with_logits",
                    (int) Table.BCE_WITH_LOGITS.invokeExact(logits, labels, positiveWeights, loss, gradient, n, c));
        } catch (Throwable t) {
            throw failure("ist_bce_with_logits", t);
        }
    }

    /** Row-wise softmax. */
    public static void softmax(MemorySegment x, MemorySegment y, long n, long c) {
        try {
            check("ist_softmax", (int) Table.SOFTMAX.invokeExact(x, y, n, c));
        } catch (Throwable t) {
            throw failure("ist_softmax", t);
        }
    }

    /** Mean focal loss over known labels (not negative); positiveWeights and gradient may be NULL. */
    public static void focal(MemorySegment logits, MemorySegment labels, MemorySegment positiveWeights, double gamma,
            double alpha, MemorySegment loss, MemorySegment gradient, long n, long c) {
        try {
            check("ist_focal",
                    (int) Table.FOCAL.invokeExact(logits, labels, positiveWeights, gamma, alpha, loss, gradient, n, c));
        } catch (Throwable t) {
            throw failure("ist_focal", t);
        }
    }

    /** Softmax Dice plus cross-entropy; positions with a negative label contribute nothing; gradient may be NULL. */
    public static void diceCe(MemorySegment logits, MemorySegment labels, float smooth, int includeBackground,
            MemorySegment loss, MemorySegment gradient, long n, long s, long c) {
        try {
            check("ist_dice_ce", (int) Table.DICE_CE.invokeExact(logits, labels, smooth, includeBackground, loss,
                    gradient, n, s, c));
        } catch (Throwable t) {
            throw failure("ist_dice_ce", t);
        }
    }

    /** Mean smooth L1 distance; gradient may be NULL. */
    public static void smoothL1(MemorySegment x, MemorySegment target, float beta, MemorySegment loss,
            MemorySegment gradient, long n) {
        try {
            check("ist_smooth_l1", (int) Table.SMOOTH_L1.invokeExact(x, target, beta, loss, gradient, n));
        } catch (Throwable t) {
            throw failure("ist_smooth_l1", t);
        }
    }

    /** Loss of a detector's joined maps; gradient may be NULL. */
    public static void detectionLoss(MemorySegment detection, MemorySegment maps, MemorySegment targets,
            MemorySegment state, MemorySegment loss, MemorySegment gradient) {
        try {
            check("ist_detection_loss",
                    (int) Table.DETECTION_LOSS.invokeExact(detection, maps, targets, state, loss, gradient));
        } catch (Throwable t) {
            throw failure("ist_detection_loss", t);
        }
    }
}
