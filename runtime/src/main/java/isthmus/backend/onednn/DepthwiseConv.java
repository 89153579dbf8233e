package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.DepthwiseKernels;
import isthmus.bindings.kernels.Kernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/**
 * Convolution of each channel by itself, by our own kernels: bound by memory, and oneDNN's backward passes take many times
 * as long as its forward one.
 */
final class DepthwiseConv {
    private static final int MOST_TAPS = 512;

    private DepthwiseConv() {}

    /** Whether our kernels do a convolution with a weight {@code [O,1,...]} in so many groups. */
    static boolean takes(Window window, int groups, Shape weight) {
        int last = window.axes() - 1;
        return groups > 1 && weight.dim(0) == groups && weight.dim(1) == 1 && window.volume() <= MOST_TAPS
                && (window.stride().get(last) == 1 || window.dilation().get(last) == 1);
    }

    static Kernel forward(Node n, Function<Value, DType> types) {
        Conv op = (Conv) n.op();
        int t = code(types.apply(n.in(0)));
        return new OwnKernel("depthwise", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), n.in(0).shape(), n.out(0).shape(), op.groups());
            MemorySegment x = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment b = op.bias() ? a.of(n.in(2)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            return () -> DepthwiseKernels.forward(t, window, x, w, b, y);
        });
    }

    static Kernel backwardData(Node n, Function<Value, DType> types) {
        Conv.BackwardData op = (Conv.BackwardData) n.op();
        int t = code(types.apply(n.in(0)));
        return new OwnKernel("depthwise_backward_data", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), op.x(), n.in(0).shape(), op.groups());
            MemorySegment dy = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment dx = a.of(n.out(0));
            return () -> DepthwiseKernels.backwardData(t, window, dy, w, dx);
        });
    }

    static Kernel backwardWeights(Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        int t = code(types.apply(n.in(0)));
        long out = n.in(1).shape().dim(1);
        long rows = n.in(1).shape().elements() / out;
        return new OwnKernel("depthwise_backward_weights", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), n.in(0).shape(), n.in(1).shape(), op.groups());
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            MemorySegment dw = a.of(n.out(0));
            MemorySegment db = op.bias() ? a.of(n.out(1)) : MemorySegment.NULL;
            return () -> {
                DepthwiseKernels.backwardWeights(t, window, x, dy, dw);
                if (op.bias()) Kernels.columnSum(t, dy, out, db, rows, out);
            };
        });
    }
}
