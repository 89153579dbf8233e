package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.WindowKernels;
import isthmus.op.Activation;
import isthmus.op.AvgPool;
import isthmus.op.MaxPool;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Pooling by our own kernels, in two and three dimensions alike. */
final class PoolKernels {
    private PoolKernels() {}

    static Kernel max(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        MaxPool op = (MaxPool) n.op();
        return new OwnKernel("max_pool", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), n.in(0).shape(), n.out(0).shape(), 1);
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            MemorySegment position = a.of(n.out(1));
            return () -> WindowKernels.maxPool(t, w, x, y, position);
        });
    }

    static Kernel maxBackward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        MaxPool.BackwardPass op = (MaxPool.BackwardPass) n.op();
        return new OwnKernel("max_pool_backward", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), op.x(), n.in(0).shape(), 1);
            MemorySegment dy = a.of(n.in(0));
            MemorySegment position = a.of(n.in(1));
            MemorySegment dx = a.of(n.out(0));
            return () -> WindowKernels.maxPoolBackward(t, w, dy, position, dx);
        });
    }

    static Kernel average(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        AvgPool op = (AvgPool) n.op();
        return new OwnKernel("avg_pool", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), n.in(0).shape(), n.out(0).shape(), 1);
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            return () -> WindowKernels.avgPool(t, w, x, y);
        });
    }

    static Kernel averageBackward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        AvgPool.BackwardPass op = (AvgPool.BackwardPass) n.op();
        return new OwnKernel("avg_pool_backward", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), op.x(), n.in(0).shape(), 1);
            MemorySegment dy = a.of(n.in(0));
            MemorySegment dx = a.of(n.out(0));
            return () -> WindowKernels.avgPoolBackward(t, w, dy, dx);
        });
    }

    /** Whether our kernels take an average whose input is normalised on the way, in bf16: whole windows of 2 x 2. */
    static boolean joinsNorm(AvgPool op, Shape x) {
        return op.window().equals(Window.of(2, 2, 2, 0)) && x.dim(1) % 32 == 0 && x.dim(2) % 2 == 0
                && x.dim(3) % 2 == 0 && Dnnl.bf16InVectors();
    }

    /** The same of a maximum: windows of 3 x 3, two apart, after a norm that ends in ReLU. */
    static boolean joinsNorm(MaxPool op, Normalize norm, Shape x) {
        return op.window().equals(Window.of(2, 3, 2, 1)) && norm.activation() == Activation.RELU && x.dim(1) % 32 == 0
                && x.dim(2) % 2 == 0 && x.dim(3) % 2 == 0 && Dnnl.bf16InVectors();
    }

    static Kernel normalized(Node n, MaxPool op) {
        Operands site = Operands.of(n);
        return new OwnKernel("max_pool+norm", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), site.x().shape(), n.out(0).shape(), 1);
            MemorySegment x = a.of(site.x());
            long ldx = a.stride(site.x());
            MemorySegment norm = site.norm(a, arena);
            MemorySegment y = a.of(n.out(0));
            long ldy = a.stride(n.out(0));
            MemorySegment position = a.of(n.out(1));
            return () -> WindowKernels.normMaxPool(w, x, ldx, norm, y, ldy, position);
        });
    }

    static Kernel normalizedBackward(Node n, MaxPool.BackwardPass op) {
        Operands site = Operands.of(n);
        return new OwnKernel("max_pool_backward+norm", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), op.x(), site.dy().shape(), 1);
            MemorySegment dy = a.of(site.dy());
            MemorySegment position = a.of(site.operand(2));
            MemorySegment dx = a.of(n.out(0));
            long lddx = a.stride(n.out(0));
            MemorySegment gradient = site.gradient(a, arena);
            return () -> WindowKernels.normMaxPoolBackward(w, dy, position, dx, lddx, gradient);
        });
    }

    static Kernel normalized(Node n, AvgPool op) {
        Operands site = Operands.of(n);
        return new OwnKernel("avg_pool+norm", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), site.x().shape(), n.out(0).shape(), 1);
            MemorySegment x = a.of(site.x());
            long ldx = a.stride(site.x());
            MemorySegment norm = site.norm(a, arena);
            MemorySegment y = a.of(n.out(0));
            return () -> WindowKernels.normAvgPool(w, x, ldx, norm, y);
        });
    }

    static Kernel normalizedBackward(Node n, AvgPool.BackwardPass op) {
        Operands site = Operands.of(n);
        return new OwnKernel("avg_pool_backward+norm", (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), op.x(), site.dy().shape(), 1);
            MemorySegment dy = a.of(site.dy());
            MemorySegment dx = a.of(n.out(0));
            long lddx = a.stride(n.out(0));
            MemorySegment gradient = site.gradient(a, arena);
            return () -> WindowKernels.normAvgPoolBackward(w, dy, dx, lddx, gradient);
        });
    }

    static Kernel global(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        return new OwnKernel("global_avg_pool", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            return () -> WindowKernels.globalAvgPool(t, x, y, s.dim(0), s.elementsFrom(2), s.dim(1));
        });
    }

    static Kernel globalBackward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.in(0)));
        Shape s = n.out(0).shape();
        return new OwnKernel("global_avg_pool_backward", (a, arena) -> {
            MemorySegment dy = a.of(n.in(0));
            MemorySegment dx = a.of(n.out(0));
            return () -> WindowKernels.globalAvgPoolBackward(t, dy, dx, s.dim(0), s.elementsFrom(2), s.dim(1));
        });
    }
}
