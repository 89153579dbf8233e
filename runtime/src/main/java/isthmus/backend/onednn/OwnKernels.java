package isthmus.backend.onednn;

import isthmus.backend.Kernel;
import isthmus.backend.StepScalars;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.PictureKernels;
import isthmus.op.Dropout;
import isthmus.op.Multiply;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.Function;

/** Elementwise ops and changes of layout by our own kernels. */
final class OwnKernels {
    private OwnKernels() {}

    /** The C library's number of an element type. */
    static int code(DType type) {
        return switch (type) {
            case F32 -> 0;
            case BF16 -> 1;
            case F16 -> 2;
            default -> throw new IllegalArgumentException("no kernels for " + type);
        };
    }

    static Kernel relu(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel("relu", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            return () -> Kernels.relu(t, x, y, size);
        });
    }

    static Kernel reluBackward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel("relu_backward", (a, arena) -> {
            MemorySegment y = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            MemorySegment dx = a.of(n.out(0));
            return () -> Kernels.reluBackward(t, y, dy, dx, size);
        });
    }

    static Kernel add(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel("add", (at, arena) -> {
            MemorySegment a = at.of(n.in(0));
            MemorySegment b = at.of(n.in(1));
            MemorySegment y = at.of(n.out(0));
            return () -> Kernels.add(t, a, b, y, size);
        });
    }

    static Kernel multiply(Node n, Function<Value, DType> types) {
        float factor = ((Multiply) n.op()).factor();
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel("scale", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            return () -> Kernels.scale(t, x, factor, y, size);
        });
    }

    static Kernel lossScale(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel("scale", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            StepScalars scalars = a.scalars();
            return () -> Kernels.scale(t, x, scalars.lossScale(), y, size);
        });
    }

    static Kernel dropout(Node n, Function<Value, DType> types) {
        Dropout op = (Dropout) n.op();
        int t = code(types.apply(n.out(0)));
        long size = n.out(0).shape().elements();
        return new OwnKernel("dropout", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            MemorySegment state = a.scalars().segment();
            return () -> Kernels.dropout(t, x, y, op.probability(), state, op.id(), size);
        });
    }

    static Kernel cast(Node n, Function<Value, DType> types) {
        DType from = types.apply(n.in(0));
        DType to = types.apply(n.out(0));
        long size = n.out(0).shape().elements();
        return new OwnKernel("cast", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            if (from == to) return () -> Kernels.copy(x, y, size * to.bytes());
            return () -> Kernels.convert(code(from), x, code(to), y, size);
        });
    }

    static Kernel warpAffine(Node n, Function<Value, DType> types) {
        WarpAffine op = (WarpAffine) n.op();
        int t = code(types.apply(n.out(0)));
        int batch = n.out(0).shape().dim(0);
        return new OwnKernel("warp_affine", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            MemorySegment mean = floats(op.mean(), arena);
            MemorySegment scale = floats(op.scale(), arena);
            return () -> PictureKernels.warpAffine(x, op.picture().side(), t, y, mean, scale, batch, op.size(),
                    op.mean().size());
        });
    }

    private static MemorySegment floats(List<Float> values, Arena arena) {
        MemorySegment all = arena.allocate(ValueLayout.JAVA_FLOAT, values.size());
        for (int i = 0; i < values.size(); i++)
            all.setAtIndex(ValueLayout.JAVA_FLOAT, i, values.get(i));
        return all;
    }

    static Kernel flatten(Node n, Function<Value, DType> types) {
        return permute("channels_first", n, n.in(0).shape(), types, true);
    }

    static Kernel flattenBackward(Node n, Function<Value, DType> types) {
        return permute("channels_last", n, n.out(0).shape(), types, false);
    }

    private static Kernel permute(String name, Node n, Shape shape, Function<Value, DType> types,
            boolean channelsFirst) {
        int from = code(types.apply(n.in(0)));
        int to = code(types.apply(n.out(0)));
        long batch = shape.dim(0);
        long channels = shape.dim(1);
        long space = shape.elementsFrom(2);
        return new OwnKernel(name, (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment y = a.of(n.out(0));
            if (channelsFirst) return () -> Kernels.channelsFirst(from, x, to, y, batch, space, channels);
            return () -> Kernels.channelsLast(from, x, to, y, batch, space, channels);
        });
    }
}
