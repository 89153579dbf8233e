package isthmus.op;

import java.util.ArrayList;
import java.util.List;

/**
 * A convolution, with a norm on its way or without, whose result's {@linkplain ChannelStatistics statistics} are taken while it is
 * written: y, mean, variance. The compiler makes this op after differentiation, where the backend has a kernel for it.
 */
public record Measured(Op op) implements Op {
    private static final Op STATISTICS = new ChannelStatistics();

    @Override
    public String name() { return op.name() + "_statistics"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        List<Spec> out = new ArrayList<>(op.infer(in));
        out.addAll(STATISTICS.infer(out));
        return out;
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return op.flops(in, out) + STATISTICS.flops(out.subList(0, 1), out);
    }

    @Override
    public void reference(Reference r) {
        op.reference(r);
        STATISTICS.reference(new Parts(r, List.of(Parts.out(r, 0)), List.of(Parts.out(r, 1), Parts.out(r, 2))));
    }
}
