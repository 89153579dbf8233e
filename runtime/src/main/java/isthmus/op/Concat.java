package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/**
 * Any number of inputs side by side along the channels: {@code [N,C0,...], [N,C1,...], ... -> [N,C0+C1+...,...]}. A network
 * that grows a value layer by layer (DenseNet) joins two at a time, the grown one first, so that every intermediate value is
 * a prefix of the last one.
 */
public record Concat() implements Op {
    @Override
    public String name() { return "concat"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        ShapeException.require(!in.isEmpty(), name(), "no inputs");
        Shape first = in.getFirst().shape();
        ShapeException.require(first.rank() >= 2, name(), "the input is " + first + "; expected [N,C,...]");
        int[] y = first.dims();
        y[1] = 0;
        for (Spec s : in) {
            int[] x = s.shape().dims();
            int channels = x.length > 1 ? x[1] : 0;
            if (x.length > 1) x[1] = first.dim(1);
            ShapeException.require(Shape.of(x).equals(first), name(),
                    first + " and " + s.shape() + " differ in more than channels");
            y[1] += channels;
        }
        return List.of(in.getFirst().with(Shape.of(y)));
    }

    @Override
    public void gradient(Backward b) {
        int first = 0;
        for (int i = 0; i < b.node().inputs().size(); i++) {
            int channels = b.node().in(i).shape().dim(1);
            if (b.wants(i)) b.give(i, b.apply(new Slice(first, channels), b.upstream(0)).getFirst());
            first += channels;
        }
    }

    @Override
    public void onnx(OnnxEmitter o) {
        String[] in = new String[o.node().inputs().size()];
        for (int i = 0; i < in.length; i++)
            in[i] = o.input(i);
        o.emit("Concat", Map.of("axis", 1L), in);
    }

    @Override
    public void reference(Reference r) {
        int spatial = (int) r.outShape(0).elementsFrom(2);
        int width = r.outShape(0).dim(1) * spatial;
        int at = 0;
        for (int i = 0; i < r.inputs(); i++) {
            int length = r.inShape(i).dim(1) * spatial;
            for (int n = 0; n < r.outShape(0).dim(0); n++)
                System.arraycopy(r.in(i), n * length, r.out(0), n * width + at, length);
            at += length;
        }
    }

    /** The channels {@code [first, first + channels)} of an input, which is how a concatenation's gradient is parted. */
    public record Slice(int first, int channels) implements Op {
        @Override
        public String name() { return "slice"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            int[] y = in.getFirst().shape().dims();
            ShapeException.require(y.length >= 2 && first >= 0 && channels > 0 && first + channels <= y[1], name(),
                    "channels " + first + " to " + (first + channels) + " of " + in.getFirst().shape());
            y[1] = channels;
            return List.of(in.getFirst().with(Shape.of(y)));
        }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.outShape(0).elementsFrom(2);
            int width = r.inShape(0).dim(1) * spatial;
            for (int n = 0; n < r.outShape(0).dim(0); n++)
                System.arraycopy(r.in(0), n * width + first * spatial, r.out(0), n * channels * spatial,
                        channels * spatial);
        }
    }
}
