package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.UpsampleKernels;
import isthmus.op.Node;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Upsampling by our own kernels: oneDNN's backward pass takes many times as long. */
final class UpsampleLowering {
    private UpsampleLowering() {}

    static Kernel forward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        int linear = linear(((Upsample) n.op()).mode());
        return new OwnKernel("upsample", (a, arena) -> {
            MemorySegment w = Windows.between(arena, n.in(0).shape(), n.out(0).shape());
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            return () -> UpsampleKernels.upsample(t, w, linear, x, y);
        });
    }

    static Kernel backward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        int linear = linear(((Upsample.BackwardPass) n.op()).mode());
        return new OwnKernel("upsample_backward", (a, arena) -> {
            MemorySegment w = Windows.between(arena, n.out(0).shape(), n.in(0).shape());
            MemorySegment dy = a.of(n.in(0));
            MemorySegment dx = a.of(n.out(0));
            return () -> UpsampleKernels.upsampleBackward(t, w, linear, dy, dx);
        });
    }

    private static int linear(Upsample.Mode mode) { return mode == Upsample.Mode.LINEAR ? 1 : 0; }
}
