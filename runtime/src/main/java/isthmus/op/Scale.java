package isthmus.op;

import isthmus.tensor.Shape;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** One factor a sample and channel, as in squeeze-and-excitation (Hu et al. 2017): {@code x [N,C,...] s [N,C,1,...]}. */
public record Scale() implements Op {
    @Override
    public String name() { return "scale"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        ShapeException.require(x.rank() >= 2, name(), "the input is " + x + "; expected [N,C,...]");
        int[] factors = x.dims();
        Arrays.fill(factors, 2, factors.length, 1);
        ShapeException.require(in.get(1).shape().equals(Shape.of(factors)), name(),
                "the input " + x + " takes factors " + Shape.of(factors) + ", not " + in.get(1).shape());
        return List.of(in.getFirst());
    }

    @Override
    public void gradient(Backward b) {
        List<Value> d = b.apply(new BackwardPass(), b.node().in(0), b.node().in(1), b.upstream(0));
        for (int i = 0; i < 2; i++)
            if (b.wants(i)) b.give(i, d.get(i));
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Mul", Map.of(), o.input(0), o.input(1)); }

    @Override
    public void reference(Reference r) {
        int spatial = (int) r.inShape(0).elementsFrom(2);
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = r.in(0)[i] * r.in(1)[i / spatial];
    }

    /** From x, s, dy: {@code dx = dy s} and {@code ds = sum over space of dy x}. */
    public record BackwardPass() implements Op {
        @Override
        public String name() { return "scale_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0), in.get(1)); }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            for (int s = 0; s < r.in(1).length; s++) {
                double sum = 0;
                for (int i = s * spatial; i < (s + 1) * spatial; i++) {
                    r.out(0)[i] = r.in(2)[i] * r.in(1)[s];
                    sum += (double) r.in(2)[i] * r.in(0)[i];
                }
                r.out(1)[s] = (float) sum;
            }
        }
    }
}
