package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.DepthwiseKernels;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.WindowKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Convolutions by our own kernels, where oneDNN has reference code only, or is slow. */
record OwnConv(String name, Forward onward, Backward byData, Backward byWeights) {
    /** Any shape: right, not fast. */
    static final OwnConv DIRECT = new OwnConv("conv_direct", WindowKernels::conv, WindowKernels::convBackwardData,
            WindowKernels::convBackwardWeights);
    /** Each channel by itself: bound by memory, and oneDNN's backward passes take many times as long as its forward one. */
    static final OwnConv DEPTHWISE = new OwnConv("depthwise", DepthwiseKernels::forward, DepthwiseKernels::backwardData,
            DepthwiseKernels::backwardWeights);

    private static final int MOST_TAPS = 512;

    /** The kernel of y. */
    interface Forward {
        void run(int type, MemorySegment window, MemorySegment x, MemorySegment w, MemorySegment bias,
                MemorySegment y);
    }

    /** The kernel of a gradient, from the two others of x, w and dy. */
    interface Backward {
        void run(int type, MemorySegment window, MemorySegment a, MemorySegment b, MemorySegment gradient);
    }

    /** Whether {@link #DEPTHWISE} does a convolution with a weight {@code [O,1,...]} in so many groups. */
    static boolean isDepthwise(Window window, int groups, Shape weight) {
        int last = window.axes() - 1;
        return groups > 1 && weight.dim(0) == groups && weight.dim(1) == 1 && window.volume() <= MOST_TAPS
                && (window.stride().get(last) == 1 || window.dilation().get(last) == 1);
    }

    Kernel forward(Node n, Function<Value, DType> types) {
        Conv op = (Conv) n.op();
        int t = code(types.apply(n.in(0)));
        return new OwnKernel(name, (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), n.in(0).shape(), n.out(0).shape(), op.groups());
            MemorySegment x = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment b = op.bias() ? a.of(n.in(2)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            return () -> onward.run(t, window, x, w, b, y);
        });
    }

    Kernel backwardData(Node n, Function<Value, DType> types) {
        Conv.BackwardData op = (Conv.BackwardData) n.op();
        int t = code(types.apply(n.in(0)));
        return new OwnKernel(name + "_backward_data", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), op.x(), n.in(0).shape(), op.groups());
            MemorySegment dy = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment dx = a.of(n.out(0));
            return () -> byData.run(t, window, dy, w, dx);
        });
    }

    Kernel backwardWeights(Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        int t = code(types.apply(n.in(0)));
        long out = n.in(1).shape().dim(1);
        long rows = n.in(1).shape().elements() / out;
        return new OwnKernel(name + "_backward_weights", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), n.in(0).shape(), n.in(1).shape(), op.groups());
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            MemorySegment dw = a.of(n.out(0));
            MemorySegment db = op.bias() ? a.of(n.out(1)) : MemorySegment.NULL;
            return () -> {
                byWeights.run(t, window, x, dy, dw);
                if (op.bias()) Kernels.columnSum(t, dy, out, db, rows, out);
            };
        });
    }
}
