package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.ActivationKernels;
import isthmus.op.Node;
import isthmus.op.StochasticDepth;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Sigmoid, SiLU and stochastic depth by our own kernels. */
final class Activations {
    private interface Unary {
        void run(int dtype, MemorySegment x, MemorySegment y, long n);
    }

    private interface Binary {
        void run(int dtype, MemorySegment a, MemorySegment b, MemorySegment y, long n);
    }

    private Activations() {}

    static Kernel sigmoid(Node n, Function<Value, DType> types) {
        return unary("sigmoid", n, types, ActivationKernels::sigmoid);
    }

    static Kernel sigmoidBackward(Node n, Function<Value, DType> types) {
        return binary("sigmoid_backward", n, types, ActivationKernels::sigmoidBackward);
    }

    static Kernel silu(Node n, Function<Value, DType> types) {
        return unary("silu", n, types, ActivationKernels::silu);
    }

    static Kernel siluBackward(Node n, Function<Value, DType> types) {
        return binary("silu_backward", n, types, ActivationKernels::siluBackward);
    }

    private static Kernel unary(String name, Node n, Function<Value, DType> types, Unary kernel) {
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel(name, (at, arena) -> {
            MemorySegment x = at.of(n.in(0));
            MemorySegment y = at.of(n.out(0));
            return () -> kernel.run(t, x, y, size);
        });
    }

    private static Kernel binary(String name, Node n, Function<Value, DType> types, Binary kernel) {
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel(name, (at, arena) -> {
            MemorySegment a = at.of(n.in(0));
            MemorySegment b = at.of(n.in(1));
            MemorySegment y = at.of(n.out(0));
            return () -> kernel.run(t, a, b, y, size);
        });
    }

    static Kernel stochasticDepth(Node n, Function<Value, DType> types) {
        StochasticDepth op = (StochasticDepth) n.op();
        int t = code(types.apply(n.out(0)));
        Shape s = n.out(0).shape();
        return new OwnKernel("stochastic_depth", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            MemorySegment state = a.scalars().segment();
            return () -> ActivationKernels.stochasticDepth(t, x, y, op.probability(), state, op.id(), s.dim(0),
                    s.elementsFrom(1));
        });
    }
}
