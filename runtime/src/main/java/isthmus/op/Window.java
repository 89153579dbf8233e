package isthmus.op;

import isthmus.tensor.Shape;
import java.util.Arrays;
import java.util.List;

/**
 * A window sliding over the spatial axes: kernel, stride, padding (both sides alike) and dilation (1 = dense), one number
 * an axis.
 */
public record Window(List<Integer> kernel, List<Integer> stride, List<Integer> padding, List<Integer> dilation) {
    public Window {
        int n = kernel.size();
        ShapeException.require(stride.size() == n && padding.size() == n && dilation.size() == n, "window",
                "kernel, stride, padding and dilation differ in length: " + kernel + stride + padding + dilation);
        for (int i = 0; i < n; i++) {
            ShapeException.require(kernel.get(i) > 0 && stride.get(i) > 0 && padding.get(i) >= 0 && dilation.get(i) > 0,
                    "window",
                    "kernel " + kernel + ", stride " + stride + ", padding " + padding + ", dilation " + dilation);
        }
    }

    /** The same numbers on every one of {@code axes} axes. */
    public static Window of(int axes, int kernel, int stride, int padding) {
        return new Window(times(axes, kernel), times(axes, stride), times(axes, padding), times(axes, 1));
    }

    /** The same window with another dilation. */
    public Window dilated(int by) {
        return new Window(kernel, stride, padding, times(axes(), by));
    }

    private static List<Integer> times(int n, int value) { return java.util.Collections.nCopies(n, value); }

    /** Number of spatial axes. */
    public int axes() { return kernel.size(); }

    /** Elements of the kernel. */
    public int volume() { return kernel.stream().reduce(1, (a, b) -> a * b); }

    /** Output length along an axis: {@code floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1}. */
    public int length(int axis, int in) {
        int reach = dilation.get(axis) * (kernel.get(axis) - 1) + 1;
        return Math.floorDiv(in + 2 * padding.get(axis) - reach, stride.get(axis)) + 1;
    }

    /** The output of shape {@code [n, channels, ...]} that this window makes of {@code x}. */
    Shape output(String op, Shape x, int channels) {
        ShapeException.rank(op, x, axes() + 2);
        int[] y = x.dims();
        y[1] = channels;
        for (int i = 0; i < axes(); i++) {
            y[2 + i] = length(i, x.dim(2 + i));
            ShapeException.require(y[2 + i] > 0, op, "the input " + x + " is smaller than the window " + kernel);
        }
        return Shape.of(y);
    }

    /** Visits every (output position, kernel position) pair whose input position lies inside, as flat spatial indices. */
    void each(Shape x, Shape y, Visitor visitor) {
        int n = axes();
        int outs = (int) y.elementsFrom(2);
        int[] o = new int[n];
        int[] k = new int[n];
        for (int at = 0; at < outs; at++) {
            unravel(at, y, o);
            for (int tap = 0; tap < volume(); tap++) {
                for (int i = n - 1, rest = tap; i >= 0; rest /= kernel.get(i), i--)
                    k[i] = rest % kernel.get(i);
                int in = 0;
                boolean inside = true;
                for (int i = 0; i < n; i++) {
                    int p = o[i] * stride.get(i) - padding.get(i) + k[i] * dilation.get(i);
                    inside &= p >= 0 && p < x.dim(2 + i);
                    in = in * x.dim(2 + i) + p;
                }
                if (inside) visitor.visit(at, tap, in);
            }
        }
    }

    private static void unravel(int at, Shape y, int[] o) {
        for (int i = o.length - 1; i >= 0; i--) {
            o[i] = at % y.dim(2 + i);
            at /= y.dim(2 + i);
        }
    }

    /** Receives flat positions: in the output, in the kernel, in the input. */
    interface Visitor {
        void visit(int out, int tap, int in);
    }

    /** ONNX's {@code pads}: begins, then ends. */
    long[] onnxPads() {
        long[] begin = longs(padding);
        long[] both = Arrays.copyOf(begin, 2 * begin.length);
        System.arraycopy(begin, 0, both, begin.length, begin.length);
        return both;
    }

    static long[] longs(List<Integer> values) { return values.stream().mapToLong(Integer::longValue).toArray(); }
}
