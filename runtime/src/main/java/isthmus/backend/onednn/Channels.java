package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.ChannelKernels;
import isthmus.op.Concat;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Channels side by side and one factor a channel, by our own kernels. */
final class Channels {
    private Channels() {}

    static Kernel concat(Node n, Function<Value, DType> types) {
        DType type = types.apply(n.out(0));
        long rows = n.out(0).shape().elements() / Concat.channels(n.out(0).shape());
        return new OwnKernel("concat", (a, arena) -> {
            List<Runnable> copies = new ArrayList<>();
            long ldy = a.stride(n.out(0));
            long at = 0;
            for (Value part : n.inputs()) {
                long width = Concat.channels(part.shape());
                MemorySegment x = a.of(part);
                MemorySegment y = a.of(n.out(0)).asSlice(at * type.bytes());
                long ldx = a.stride(part);
                at += width;
                // What was written to its place needs no copy.
                if (x.address() != y.address())
                    copies.add(() -> ChannelKernels.copyColumns(code(type), x, ldx, y, ldy, rows, width));
            }
            Runnable[] all = copies.toArray(Runnable[]::new);
            return () -> {
                for (Runnable copy : all)
                    copy.run();
            };
        });
    }

    static Kernel slice(Node n, Function<Value, DType> types) {
        Concat.Slice op = (Concat.Slice) n.op();
        DType type = types.apply(n.out(0));
        int t = code(type);
        long rows = n.in(0).shape().elements() / Concat.channels(n.in(0).shape());
        return new OwnKernel("slice", (a, arena) -> {
            MemorySegment x = a.of(n.in(0)).asSlice((long) op.first() * type.bytes());
            MemorySegment y = a.of(n.out(0));
            long ldx = a.stride(n.in(0));
            long ldy = a.stride(n.out(0));
            return () -> ChannelKernels.copyColumns(t, x, ldx, y, ldy, rows, op.channels());
        });
    }

    static Kernel scale(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.out(0)));
        Shape shape = n.in(0).shape();
        return new OwnKernel("scale", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment s = a.of(n.in(1));
            MemorySegment y = a.of(n.out(0));
            return () -> ChannelKernels.scale(t, x, s, y, shape.dim(0), shape.elementsFrom(2), shape.dim(1));
        });
    }

    static Kernel scaleBackward(Node n, Function<Value, DType> types) {
        int t = code(types.apply(n.out(0)));
        Shape shape = n.in(0).shape();
        return new OwnKernel("scale_backward", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment s = a.of(n.in(1));
            MemorySegment dy = a.of(n.in(2));
            MemorySegment dx = a.of(n.out(0));
            MemorySegment ds = a.of(n.out(1));
            return () -> ChannelKernels.scaleBackward(t, x, s, dy, dx, ds, shape.dim(0), shape.elementsFrom(2),
                    shape.dim(1));
        });
    }
}
