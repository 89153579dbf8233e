package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/**
 * Convolution (cross-correlation, as the field has it) over 2 or 3 spatial axes, with groups:
 * {@code y[n,o,p] = b[o] + sum over i, k of x[n, g I/G + i, p stride - padding + k dilation] w[o,i,k]}.
 * Inputs: x {@code [N,C,...]}, weight {@code [O,C/G,...]}, and the bias {@code [O]} if {@code bias}.
 */
public record Conv(Window window, int groups, boolean bias) implements Op {
    @Override
    public String name() { return "conv"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        Shape w = in.get(1).shape();
        ShapeException.require(x.rank() == window.axes() + 2 && w.rank() == x.rank(), name(),
                "the input " + x + " and the weight " + w + " do not both have " + (window.axes() + 2) + " axes");
        ShapeException.require(x.dim(1) == w.dim(1) * groups && w.dim(0) % groups == 0, name(),
                "the input " + x + " and the weight " + w + " do not fit with " + groups + " groups");
        for (int i = 0; i < window.axes(); i++) {
            ShapeException.require(window.kernel().get(i) == w.dim(2 + i), name(),
                    "the weight " + w + " is no " + window.kernel() + " kernel, which the input " + x + " is to meet");
        }
        if (bias) ShapeException.same(name(), in.get(2).shape(), Shape.of(w.dim(0)));
        return List.of(in.get(0).with(window.output(name(), x, w.dim(0))));
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) { return products(in.get(1).shape(), out.get(0).shape()); }

    /** Two operations for each product of the convolution that gives y. */
    private static long products(Shape w, Shape y) {
        return 2 * y.elements() * w.elementsFrom(1);
    }

    @Override
    public void gradient(Backward b) {
        Value x = b.node().in(0);
        Value w = b.node().in(1);
        if (b.wants(1) || (bias && b.wants(2))) {
            List<Value> dw = b.apply(new BackwardWeights(window, groups, bias, w.shape()), x, b.upstream(0));
            b.give(1, dw.get(0));
            if (bias) b.give(2, dw.get(1));
        }
        if (b.wants(0)) b.give(0, b.apply(new BackwardData(window, groups, x.shape()), b.upstream(0), w).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) {
        Map<String, Object> attributes = Map.of("kernel_shape", Window.longs(window.kernel()), "strides",
                Window.longs(window.stride()), "pads",
                window.onnxPads(), "dilations", Window.longs(window.dilation()), "group", (long) groups);
        if (bias) o.emit("Conv", attributes, o.input(0), o.input(1), o.input(2));
        else
            o.emit("Conv", attributes, o.input(0), o.input(1));
    }

    @Override
    public void reference(Reference r) {
        float[] y = r.out(0);
        long spatial = r.outShape(0).elementsFrom(2);
        if (bias) for (int i = 0; i < y.length; i++)
            y[i] = r.in(2)[(int) (i / spatial % r.outShape(0).dim(1))];
        products(window, groups, r.inShape(0), r.inShape(1), r.outShape(0),
                (xi, wi, yi) -> y[yi] += r.in(0)[xi] * r.in(1)[wi]);
    }

    /** Visits all products of the convolution as flat indices into x, w and y. */
    private static void products(Window window, int groups, Shape x, Shape w, Shape y, Product product) {
        int xs = (int) x.elementsFrom(2);
        int ys = (int) y.elementsFrom(2);
        int outs = y.dim(1);
        int ins = w.dim(1);
        window.each(x, y, (at, tap, from) -> {
            for (int n = 0; n < x.dim(0); n++) {
                for (int o = 0; o < outs; o++) {
                    int first = o / (outs / groups) * ins;
                    for (int i = 0; i < ins; i++) {
                        product.visit((n * x.dim(1) + first + i) * xs + from, (o * ins + i) * window.volume() + tap,
                                (n * outs + o) * ys + at);
                    }
                }
            }
        });
    }

    private interface Product {
        void visit(int x, int w, int y);
    }

    /** {@code dx} from {@code dy} and the weight. */
    public record BackwardData(Window window, int groups, Shape x) implements Op {
        @Override
        public String name() { return "conv_backward_data"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0).with(x)); }

        @Override
        public long flops(List<Spec> in, List<Spec> out) { return products(in.get(1).shape(), in.get(0).shape()); }

        @Override
        public void reference(Reference r) {
            products(window, groups, x, r.inShape(1), r.inShape(0),
                    (xi, wi, yi) -> r.out(0)[xi] += r.in(0)[yi] * r.in(1)[wi]);
        }
    }

    /** {@code dw} (and {@code db}) from x and {@code dy}, float32. */
    public record BackwardWeights(Window window, int groups, boolean bias, Shape weight) implements Op {
        @Override
        public String name() { return "conv_backward_weights"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            Spec dw = new Spec(weight, Kind.FLOAT);
            return bias ? List.of(dw, Spec.ofFloat(weight.dim(0))) : List.of(dw);
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) { return products(weight, in.get(1).shape()); }

        @Override
        public void reference(Reference r) {
            products(window, groups, r.inShape(0), weight, r.inShape(1),
                    (xi, wi, yi) -> r.out(0)[wi] += r.in(0)[xi] * r.in(1)[yi]);
            if (!bias) return;
            int spatial = (int) r.inShape(1).elementsFrom(2);
            for (int i = 0; i < r.in(1).length; i++)
                r.out(1)[i / spatial % weight.dim(0)] += r.in(1)[i];
        }
    }
}
