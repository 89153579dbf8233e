package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.WindowKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Convolutions of shapes for which oneDNN only has reference code, by our direct kernels: right, not fast. */
final class DirectConv {
    private DirectConv() {}

    static Kernel forward(Node n, Function<Value, DType> types) {
        Conv op = (Conv) n.op();
        int t = code(types.apply(n.in(0)));
        return new OwnKernel("conv_direct", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), n.in(0).shape(), n.out(0).shape(), op.groups());
            MemorySegment x = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment b = op.bias() ? a.of(n.in(2)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            return () -> WindowKernels.conv(t, window, x, w, b, y);
        });
    }

    static Kernel backwardData(Node n, Function<Value, DType> types) {
        Conv.BackwardData op = (Conv.BackwardData) n.op();
        int t = code(types.apply(n.in(0)));
        return new OwnKernel("conv_direct_backward_data", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), op.x(), n.in(0).shape(), op.groups());
            MemorySegment dy = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment dx = a.of(n.out(0));
            return () -> WindowKernels.convBackwardData(t, window, dy, w, dx);
        });
    }

    static Kernel backwardWeights(Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        int t = code(types.apply(n.in(0)));
        long out = n.in(1).shape().dim(1);
        long rows = n.in(1).shape().elements() / out;
        return new OwnKernel("conv_direct_backward_weights", (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), n.in(0).shape(), n.in(1).shape(), op.groups());
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            MemorySegment dw = a.of(n.out(0));
            MemorySegment db = op.bias() ? a.of(n.out(1)) : MemorySegment.NULL;
            return () -> {
                WindowKernels.convBackwardWeights(t, window, x, dy, dw);
                if (op.bias()) Kernels.columnSum(t, dy, out, db, rows, out);
            };
        });
    }
}
