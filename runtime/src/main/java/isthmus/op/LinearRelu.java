package isthmus.op;

import java.util.List;

/**
 * A linear layer and ReLU in one pass, {@code y = max(linear(x, w, b), 0)}. The compiler makes it after differentiation, where
 * the backend has a kernel for it; ReLU's slope is told by the sign of y, as it is without.
 */
public record LinearRelu(Linear linear) implements Op {
    @Override
    public String name() { return "linear_relu"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return linear.infer(in); }

    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return linear.flops(in, out) + out.getFirst().shape().elements();
    }

    @Override
    public void reference(Reference r) {
        linear.reference(r);
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = Math.max(r.out(0)[i], 0);
    }
}
