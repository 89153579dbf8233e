package isthmus.op;

import isthmus.tensor.Shape;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The largest value in each window; padding never wins. Results: y, and the position inside the window that won (first of
 * equals), one byte each, for the backward pass.
 */
public record MaxPool(Window window) implements Op {
    public MaxPool {
        ShapeException.require(window.volume() <= 256, "max_pool",
                "a window of " + window.volume() + " elements; the limit is 256");
    }

    @Override
    public String name() { return "max_pool"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        Shape y = window.output(name(), x, x.dim(1));
        return List.of(in.get(0).with(y), new Spec(y, Kind.BYTE));
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) { return out.get(0).shape().elements() * window.volume(); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0))
            b.give(0, b.apply(new BackwardPass(window, b.node().in(0).shape()), b.upstream(0), b.node().out(1))
                    .getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) {
        o.emit("MaxPool",
                Map.of("kernel_shape", Window.longs(window.kernel()), "strides", Window.longs(window.stride()), "pads",
                        window.onnxPads(), "dilations", Window.longs(window.dilation())),
                o.input(0));
    }

    @Override
    public void reference(Reference r) {
        Arrays.fill(r.out(0), Float.NEGATIVE_INFINITY);
        planes(r.inShape(0), r.outShape(0),
                (plane, xs, ys) -> window.each(r.inShape(0), r.outShape(0), (at, tap, from) -> {
                    float v = r.in(0)[plane * xs + from];
                    if (v > r.out(0)[plane * ys + at]) {
                        r.out(0)[plane * ys + at] = v;
                        r.out(1)[plane * ys + at] = tap;
                    }
                }));
    }

    private static void planes(Shape x, Shape y, Plane visitor) {
        for (int p = 0; p < x.dim(0) * x.dim(1); p++)
            visitor.visit(p, (int) x.elementsFrom(2), (int) y.elementsFrom(2));
    }

    private interface Plane {
        void visit(int plane, int xs, int ys);
    }

    /** Sends dy to the winners; from dy and the positions. */
    public record BackwardPass(Window window, Shape x) implements Op {
        @Override
        public String name() { return "max_pool_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0).with(x)); }

        @Override
        public void reference(Reference r) {
            planes(x, r.inShape(0), (plane, xs, ys) -> window.each(x, r.inShape(0), (at, tap, from) -> {
                if ((int) r.in(1)[plane * ys + at] == tap) r.out(0)[plane * xs + from] += r.in(0)[plane * ys + at];
            }));
        }
    }
}
