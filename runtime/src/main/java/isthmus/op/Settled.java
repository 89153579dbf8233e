package isthmus.op;

import java.util.List;

/**
 * An op that {@linkplain Normalized.Settle settles} one of its operands while it reads it. Inputs: the op's, where that operand is
 * what is owed on, then x, slope, shift. The compiler makes this op after differentiation, where the backend has a kernel for it.
 */
public record Settled(Op op, int operand) implements Op {
    /** How many inputs stand behind the op's own. */
    public static final int BEHIND = 3;

    private static final Op SETTLE = new Normalized.Settle();

    @Override
    public String name() { return op.name() + "_settled"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        ShapeException.same(name(), in.get(operand).shape(), in.get(in.size() - BEHIND).shape());
        return op.infer(own(in));
    }

    private static List<Spec> own(List<Spec> in) { return in.subList(0, in.size() - BEHIND); }

    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return op.flops(own(in), out) + SETTLE.flops(in, in.subList(operand, operand + 1));
    }

    @Override
    public void reference(Reference r) {
        int own = r.inputs() - BEHIND;
        Parts.Part settled = Parts.zeros(r.inShape(operand));
        List<Parts.Part> operands = Parts.inputs(r, own, r.inputs());
        operands.addFirst(Parts.inputs(r, operand, operand + 1).getFirst());
        SETTLE.reference(new Parts(r, operands, List.of(settled)));
        List<Parts.Part> in = Parts.inputs(r, 0, own);
        in.set(operand, settled);
        int results = op.infer(in.stream().map(Parts.Part::spec).toList()).size();
        op.reference(new Parts(r, in, Parts.outputs(r, results)));
    }
}
