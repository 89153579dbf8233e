package isthmus.op;

import java.util.List;

/**
 * The backward pass of a {@link Normalization}, from x, dy, mean, variance, gamma, beta, and y if masked: dx, dgamma, dbeta,
 * and the residual's gradient if masked. It may add another gradient of x, its last input then, to the dx that it
 * makes: {@code dx = last input + ...}.
 */
public sealed interface NormBackward extends Op permits Normalize.BackwardPass, GroupNorm.BackwardPass {
    /** What the normalisation ended with. */
    Activation activation();

    /** Whether ReLU's slope is taken from y; see {@link Normalization#masked}. */
    boolean masked();

    /** Whether the last input is added to dx. */
    boolean adds();

    /** The same pass, adding. */
    NormBackward adding();

    @Override
    default List<Spec> infer(List<Spec> in) {
        Spec c = new Spec(in.get(4).shape(), Kind.FLOAT);
        if (adds()) ShapeException.same(name(), in.get(0).shape(), in.getLast().shape());
        return masked() ? List.of(in.get(0), c, c, in.get(0)) : List.of(in.get(0), c, c);
    }

    /** Five for the sums of dz and dz h, six for dx. */
    @Override
    default long flops(List<Spec> in, List<Spec> out) {
        return out.get(0).shape().elements() * (11 + activation().flops() + (adds() ? 1 : 0));
    }

    @Override
    default boolean reads(int i) { return i != 5 || (activation() != Activation.NONE && !masked()); }
}
