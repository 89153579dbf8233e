package isthmus.op;

import java.util.List;

/**
 * {@code y = S x} with the factor S that stands in the step's scalars: gradients of half precision are computed S times too
 * large, so that small ones do not vanish, and the optimizer divides by S (Micikevicius et al. 2018, arXiv 1710.03740,
 * section 3.2). Stands between a loss's gradient and what the loss was computed from.
 */
public record LossScale() implements Op {
    @Override
    public String name() { return "loss_scale"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = r.lossScale() * r.in(0)[i];
    }
}
