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
import java.util.function.Function;

/** Channels side by side and one factor a channel, by our own kernels. */
final class Channels {
    private Channels() {}

    static Kernel concat(Node n, Function<Value, DType> types) {
        DType type = types.apply(n.out(0));
        long width = n.out(0).shape().dim(1);
        long rows = n.out(0).shape().elements() / width;
        return new OwnKernel("concat", (a, arena) -> {
            int parts = n.inputs().size();
            MemorySegment[] from = new MemorySegment[parts];
            MemorySegment[] to = new MemorySegment[parts];
            long[] widths = new long[parts];
            long at = 0;
            for (int i = 0; i < parts; i++) {
                widths[i] = n.in(i).shape().dim(1);
                from[i] = a.of(n.in(i));
                to[i] = a.of(n.out(0)).asSlice(at * type.bytes());
                at += widths[i];
            }
            int t = code(type);
            return () -> {
                for (int i = 0; i < parts; i++)
                    ChannelKernels.copyColumns(t, from[i], widths[i], to[i], width, rows, widths[i]);
            };
        });
    }

    static Kernel slice(Node n, Function<Value, DType> types) {
        Concat.Slice op = (Concat.Slice) n.op();
        DType type = types.apply(n.out(0));
        int t = code(type);
        long width = n.in(0).shape().dim(1);
        long rows = n.in(0).shape().elements() / width;
        return new OwnKernel("slice", (a, arena) -> {
            MemorySegment x = a.of(n.in(0)).asSlice((long) op.first() * type.bytes());
            MemorySegment y = a.of(n.out(0));
            return () -> ChannelKernels.copyColumns(t, x, width, y, op.channels(), rows, op.channels());
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
