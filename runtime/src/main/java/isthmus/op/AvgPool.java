package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/** The mean of each window, zeros of the padding included, as PyTorch's default. */
public record AvgPool(Window window) implements Op {
    public AvgPool {
        ShapeException.require(window.dilation().stream().allMatch(d -> d == 1), "avg_pool",
                "dilation " + window.dilation() + "; averages are over dense windows");
    }

    @Override
    public String name() { return "avg_pool"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        return List.of(in.get(0).with(window.output(name(), x, x.dim(1))));
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) { return out.get(0).shape().elements() * window.volume(); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new BackwardPass(window, b.node().in(0).shape()), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) {
        o.emit("AveragePool",
                Map.of("kernel_shape", Window.longs(window.kernel()), "strides", Window.longs(window.stride()), "pads",
                        window.onnxPads(), "count_include_pad", 1L),
                o.input(0));
    }

    @Override
    public void reference(Reference r) {
        spread(window, r.inShape(0), r.outShape(0), (x, y) -> r.out(0)[y] += r.in(0)[x] / window.volume());
    }

    private static void spread(Window window, Shape x, Shape y, Pair visitor) {
        int xs = (int) x.elementsFrom(2);
        int ys = (int) y.elementsFrom(2);
        for (int p = 0; p < x.dim(0) * x.dim(1); p++) {
            int plane = p;
            window.each(x, y, (at, tap, from) -> visitor.visit(plane * xs + from, plane * ys + at));
        }
    }

    private interface Pair {
        void visit(int x, int y);
    }

    /** Spreads dy evenly over each window. */
    public record BackwardPass(Window window, Shape x) implements Op {
        @Override
        public String name() { return "avg_pool_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0).with(x)); }

        @Override
        public void reference(Reference r) {
            spread(window, x, r.inShape(0), (xi, yi) -> r.out(0)[xi] += r.in(0)[yi] / window.volume());
        }
    }
}
