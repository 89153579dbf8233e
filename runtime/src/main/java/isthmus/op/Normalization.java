package isthmus.op;

/**
 * An op that can add a residual to its first result and rectify it in the same pass. With a residual, that is the last input.
 */
public sealed interface Normalization extends Op permits Normalize, GroupNorm {
    /** Whether a residual is added. */
    boolean residual();

    /** Whether the sum is rectified. */
    boolean relu();

    /** The same normalisation, followed by these. */
    Normalization with(boolean addResidual, boolean rectify);
}
