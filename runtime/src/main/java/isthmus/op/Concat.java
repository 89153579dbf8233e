package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/**
 * Any number of inputs side by side along the channels: {@code [N,C0,...], [N,C1,...], ... -> [N,C0+C1+...,...]}, or one
 * number a channel: {@code [C0], [C1], ... -> [C0+C1+...]}. A network
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
        ShapeException.require(first.rank() >= 1, name(), "the input is " + first + "; expected [N,C,...] or [C]");
        int axis = axis(first);
        int[] y = first.dims();
        y[axis] = 0;
        for (Spec s : in) {
            int[] x = s.shape().dims();
            boolean alike = x.length == y.length;
            int channels = alike ? x[axis] : 0;
            if (alike) x[axis] = first.dim(axis);
            ShapeException.require(Shape.of(x).equals(first), name(),
                    first + " and " + s.shape() + " differ in more than channels");
            y[axis] += channels;
        }
        return List.of(in.getFirst().with(Shape.of(y)));
    }

    /** The axis of the channels: the second, or the only one. */
    private static int axis(Shape s) {
        return Math.min(1, s.rank() - 1);
    }

    /** Channels of a value: the length of a row of its memory. */
    public static int channels(Shape s) {
        return s.rank() == 0 ? 1 : s.dim(axis(s));
    }

    @Override
    public void gradient(Backward b) {
        int first = 0;
        for (int i = 0; i < b.node().inputs().size(); i++) {
            int channels = channels(b.node().in(i).shape());
            if (b.wants(i)) b.give(i, b.apply(new Slice(first, channels), b.upstream(0)).getFirst());
            first += channels;
        }
    }

    @Override
    public void onnx(OnnxEmitter o) {
        String[] in = new String[o.node().inputs().size()];
        for (int i = 0; i < in.length; i++)
            in[i] = o.input(i);
        o.emit("Concat", Map.of("axis", (long) axis(o.node().out(0).shape())), in);
    }

    @Override
    public void reference(Reference r) {
        int axis = axis(r.outShape(0));
        int width = (int) r.outShape(0).elementsFrom(axis);
        int at = 0;
        for (int i = 0; i < r.inputs(); i++) {
            int length = (int) r.inShape(i).elementsFrom(axis);
            for (int n = 0; n < r.out(0).length / width; n++)
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
            ShapeException.require(
                    y.length >= 1 && first >= 0 && channels > 0
                            && first + channels <= Concat.channels(in.getFirst().shape()),
                    name(), "channels " + first + " to " + (first + channels) + " of " + in.getFirst().shape());
            y[axis(in.getFirst().shape())] = channels;
            return List.of(in.getFirst().with(Shape.of(y)));
        }

        @Override
        public void reference(Reference r) {
            int axis = axis(r.outShape(0));
            int width = (int) r.inShape(0).elementsFrom(axis);
            int part = (int) r.outShape(0).elementsFrom(axis);
            for (int n = 0; n < r.out(0).length / part; n++)
                System.arraycopy(r.in(0), n * width + part / channels * first, r.out(0), n * part, part);
        }
    }
}
