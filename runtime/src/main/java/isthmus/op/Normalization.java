package isthmus.op;

/**
 * An op that can add a residual to its first result and apply an activation to the sum in the same pass. With a residual,
 * that is the last input.
 */
public sealed interface Normalization extends Op permits Normalize, GroupNorm {
    /** Whether a residual is added. */
    boolean residual();

    /** What is applied to the sum. */
    Activation activation();

    /** The same normalisation, followed by these. */
    Normalization with(boolean addResidual, Activation then);

    /**
     * Whether the backward pass takes ReLU's slope from the sign of y. Without a residual it makes z again from x, which it
     * reads anyway. So SiLU, whose slope y does not tell, cannot follow a residual.
     */
    default boolean masked() { return residual() && activation() == Activation.RELU; }

    /** Refuses what has no derivative in one pass. */
    default void check() {
        if (residual() && activation() == Activation.SILU)
            throw new IllegalArgumentException(
                    name() + ": SiLU does not follow a residual in one pass; add them apart");
    }
}
