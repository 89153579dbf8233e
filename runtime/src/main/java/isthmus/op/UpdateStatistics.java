package isthmus.op;

import java.util.List;

/**
 * Moves running statistics towards a batch's: {@code running = (1 - momentum) running + momentum batch}, with the
 * unbiased variance, as PyTorch. Inputs: batch mean, batch (biased) variance, running mean, running variance, all
 * {@code [C]}; the last two are parameters and are changed in place.
 *
 * @param count elements that a channel's statistics were taken over
 */
public record UpdateStatistics(float momentum, long count) implements Op {
    @Override
    public String name() { return "update_statistics"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        for (Spec s : in)
            ShapeException.same(name(), in.get(0).shape(), s.shape());
        return List.of();
    }

    @Override
    public void reference(Reference r) {
        double unbias = count > 1 ? count / (count - 1.0) : 1.0;
        for (int c = 0; c < r.in(0).length; c++) {
            r.in(2)[c] += momentum * (r.in(0)[c] - r.in(2)[c]);
            r.in(3)[c] += (float) (momentum * (r.in(1)[c] * unbias - r.in(3)[c]));
        }
    }
}
