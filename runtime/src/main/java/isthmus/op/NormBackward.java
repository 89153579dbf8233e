package isthmus.op;

/**
 * The backward pass of a {@link Normalization}. It may add another gradient of x, its last input then, to the dx that it
 * makes: {@code dx = last input + ...}.
 */
public sealed interface NormBackward extends Op permits Normalize.BackwardPass, GroupNorm.BackwardPass {
    /** Whether ReLU's slope is taken from y; see {@link Normalization#masked}. */
    boolean masked();

    /** Whether the last input is added to dx. */
    boolean adds();

    /** The same pass, adding. */
    NormBackward adding();
}
