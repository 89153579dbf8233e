package isthmus.op;

import isthmus.tensor.Shape;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** The mean over all positions: {@code [N,C,...] -> [N,C,1,...]}. */
public record GlobalAvgPool() implements Op {
    @Override
    public String name() { return "global_avg_pool"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        int[] y = in.get(0).shape().dims();
        Arrays.fill(y, 2, y.length, 1);
        return List.of(in.get(0).with(Shape.of(y)));
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) { return in.get(0).shape().elements(); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new BackwardPass(b.node().in(0).shape()), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("GlobalAveragePool", Map.of(), o.input(0)); }

    @Override
    public void reference(Reference r) {
        int spatial = (int) r.inShape(0).elementsFrom(2);
        for (int i = 0; i < r.out(0).length; i++) {
            double sum = 0;
            for (int s = 0; s < spatial; s++)
                sum += r.in(0)[i * spatial + s];
            r.out(0)[i] = (float) (sum / spatial);
        }
    }

    /** Spreads dy evenly. */
    public record BackwardPass(Shape x) implements Op {
        @Override
        public String name() { return "global_avg_pool_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0).with(x)); }

        @Override
        public void reference(Reference r) {
            int spatial = (int) x.elementsFrom(2);
            for (int i = 0; i < r.out(0).length; i++)
                r.out(0)[i] = r.in(0)[i / spatial] / spatial;
        }
    }
}
