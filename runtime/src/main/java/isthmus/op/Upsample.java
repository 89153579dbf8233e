package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/**
 * Upsampling to a larger size, {@code [N,C,...] -> [N,C,size]}, as PyTorch's {@code interpolate}. Nearest: output position o
 * of an axis reads input position {@code floor(o in / out)}. Linear (bilinear, trilinear; align_corners false): it reads
 * between half-pixel centres, at {@code max((o + 0.5) in / out - 0.5, 0)}; beyond the last centre the last value holds.
 *
 * @param size lengths of the spatial axes of the result, none smaller than the input's
 */
public record Upsample(List<Integer> size, Mode mode) implements Op {
    /** Which input positions an output position reads. */
    public enum Mode {
        /** One. */
        NEAREST,
        /** Up to two an axis. */
        LINEAR
    }

    public Upsample {
        size = List.copyOf(size);
    }

    @Override
    public String name() { return "upsample"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        ShapeException.rank(name(), x, size.size() + 2);
        Shape y = x;
        for (int i = 0; i < size.size(); i++) {
            ShapeException.require(size.get(i) >= x.dim(2 + i), name(),
                    "the input " + x + " is larger than the size " + size + " asked for");
            y = y.with(2 + i, size.get(i));
        }
        return List.of(in.get(0).with(y));
    }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0))
            b.give(0, b.apply(new BackwardPass(b.node().in(0).shape(), mode), b.upstream(0)).getFirst());
    }

    /** The batch stays free: its length, and the channels', are read from the input. */
    @Override
    public void onnx(OnnxEmitter o) {
        String kept = o.step("Shape", Map.of("start", 0L, "end", 2L), o.input(0));
        String asked = o.step("Constant", Map.of("value_ints", Window.longs(size)));
        String sizes = o.step("Concat", Map.of("axis", 0L), kept, asked);
        Map<String, Object> attributes = mode == Mode.LINEAR
                ? Map.of("mode", "linear", "coordinate_transformation_mode", "half_pixel")
                : Map.of("mode", "nearest", "coordinate_transformation_mode", "asymmetric", "nearest_mode", "floor");
        o.emit("Resize", attributes, o.input(0), "", "", sizes);
    }

    @Override
    public void reference(Reference r) {
        each(r.inShape(0), r.outShape(0), mode, (x, y, w) -> r.out(0)[y] += (float) (w * r.in(0)[x]));
    }

    /** Visits every pair of an input and an output element, as flat indices, with the weight between them. */
    private static void each(Shape x, Shape y, Mode mode, Pair pair) {
        for (int p = 0; p < x.dim(0) * x.dim(1); p++)
            along(x, y, 2, p, p, 1, mode, pair);
    }

    private static void along(Shape x, Shape y, int axis, int xAt, int yAt, double weight, Mode mode, Pair pair) {
        if (axis == x.rank()) {
            pair.visit(xAt, yAt, weight);
            return;
        }
        int in = x.dim(axis);
        int out = y.dim(axis);
        for (int o = 0; o < out; o++) {
            double at = mode == Mode.LINEAR ? Math.max((o + 0.5) * in / out - 0.5, 0) : Math.floorDiv(o * in, out);
            int low = (int) at;
            double rest = low + 1 < in ? at - low : 0;
            along(x, y, axis + 1, xAt * in + low, yAt * out + o, weight * (1 - rest), mode, pair);
            if (rest > 0) along(x, y, axis + 1, xAt * in + low + 1, yAt * out + o, weight * rest, mode, pair);
        }
    }

    private interface Pair {
        void visit(int x, int y, double weight);
    }

    /** Gives each input position what its output positions send back, by the same weights. */
    public record BackwardPass(Shape x, Mode mode) implements Op {
        @Override
        public String name() { return "upsample_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0).with(x)); }

        @Override
        public void reference(Reference r) {
            each(x, r.inShape(0), mode, (xi, yi, w) -> r.out(0)[xi] += (float) (w * r.in(0)[yi]));
        }
    }
}
