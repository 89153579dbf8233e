package isthmus.backend.cuda;

import isthmus.backend.Kernel;
import isthmus.op.Concat;
import isthmus.op.Dropout;
import isthmus.op.Multiply;
import isthmus.op.Node;
import isthmus.op.StochasticDepth;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Ops element by element, changes of order, and channels side by side, by our own kernels. */
final class Elementwise {
    private Elementwise() {}

    /** What a kernel's name says of an element type. */
    static String suffix(DType type) {
        return switch (type) {
            case F32 -> "_f32";
            case F16 -> "_f16";
            case BF16 -> "_bf16";
            default -> throw new IllegalArgumentException("no CUDA kernels for " + type);
        };
    }

    /** {@code y = f(x)} or, with two inputs, {@code y = f(a, b)}. */
    static CudaBackend.Lowering plain(String family) {
        return (d, n, types) -> {
            long size = n.out(0).shape().elements();
            String s = suffix(types.apply(n.out(0)));
            return new CudaKernel(d, "own " + family, 0, (a, to) -> {
                MemorySegment y = a.of(n.out(0));
                if (n.inputs().size() == 1) to.add(family, s, Grid.over(size, d), a.of(n.in(0)), y, size);
                else
                    to.add(family, s, Grid.over(size, d), a.of(n.in(0)), a.of(n.in(1)), y, size);
            });
        };
    }

    static Kernel multiply(Device d, Node n, Function<Value, DType> types) {
        long size = n.out(0).shape().elements();
        float factor = ((Multiply) n.op()).factor();
        return new CudaKernel(d, "own multiply", 0, (a, to) -> to.add("multiply", suffix(types.apply(n.out(0))),
                Grid.over(size, d), a.of(n.in(0)), factor, a.of(n.out(0)), size));
    }

    static Kernel dropout(Device d, Node n, Function<Value, DType> types) {
        Dropout op = (Dropout) n.op();
        long size = n.out(0).shape().elements();
        return new CudaKernel(d, "own dropout", 0, (a, to) -> to.add("dropout", suffix(types.apply(n.out(0))),
                Grid.over(size, d), a.of(n.in(0)), a.of(n.out(0)), op.probability(), a.scalars().segment(), op.id(),
                size));
    }

    static Kernel stochasticDepth(Device d, Node n, Function<Value, DType> types) {
        StochasticDepth op = (StochasticDepth) n.op();
        Shape s = n.out(0).shape();
        return new CudaKernel(d, "own stochastic_depth", 0,
                (a, to) -> to.add("stochastic_depth", suffix(types.apply(n.out(0))), Grid.over(s.elements(), d),
                        a.of(n.in(0)), a.of(n.out(0)), op.probability(), a.scalars().segment(), op.id(),
                        (long) s.dim(0), s.elementsFrom(1)));
    }

    static Kernel lossScale(Device d, Node n, Function<Value, DType> types) {
        long size = n.out(0).shape().elements();
        return new CudaKernel(d, "own loss_scale", 0, (a, to) -> to.add("loss_scale", "", Grid.over(size, d),
                a.scalars().segment(), a.of(n.in(0)), a.of(n.out(0)), size));
    }

    static Kernel cast(Device d, Node n, Function<Value, DType> types) {
        long size = n.out(0).shape().elements();
        String pair = suffix(types.apply(n.in(0))) + suffix(types.apply(n.out(0)));
        return new CudaKernel(d, "own convert", 0,
                (a, to) -> to.add("convert", pair, Grid.over(size, d), a.of(n.in(0)), a.of(n.out(0)), size));
    }

    static Kernel warpAffine(Device d, Node n, Function<Value, DType> types) {
        WarpAffine op = (WarpAffine) n.op();
        Shape y = n.out(0).shape();
        return new CudaKernel(d, "own warp_affine", 0,
                (a, to) -> to.add("warp_affine", suffix(types.apply(n.out(0))),
                        Grid.overEach(y.elementsFrom(2), y.dim(0), d), a.of(n.in(0)), op.picture().side(),
                        a.of(n.out(0)), new Launches.Channels(op.mean(), op.scale()), y.dim(0), op.size(), y.dim(1)));
    }

    static Kernel flatten(Device d, Node n, Function<Value, DType> types) {
        return permute(d, "channels_first", n, n.in(0).shape(), types);
    }

    static Kernel flattenBackward(Device d, Node n, Function<Value, DType> types) {
        return permute(d, "channels_last", n, n.out(0).shape(), types);
    }

    private static Kernel permute(Device d, String family, Node n, Shape s, Function<Value, DType> types) {
        String pair = suffix(types.apply(n.in(0))) + suffix(types.apply(n.out(0)));
        return new CudaKernel(d, "own " + family, 0,
                (a, to) -> to.add(family, pair, Grid.over(s.elements(), d), a.of(n.in(0)), a.of(n.out(0)),
                        (long) s.dim(0), s.elementsFrom(2), (long) s.dim(1)));
    }

    static Kernel concat(Device d, Node n, Function<Value, DType> types) {
        DType type = types.apply(n.out(0));
        return new CudaKernel(d, "own concat", 0, (a, to) -> {
            Rows y = Rows.of(a, n.out(0));
            long at = 0;
            for (Value v : n.inputs()) {
                Rows x = Rows.of(a, v);
                Rows place = y.column(at, type);
                at += Concat.channels(v.shape());
                // What was written to its place needs no copy.
                if (x.at().address() != place.at().address()) copy(d, to, type, x, place, v.shape());
            }
        });
    }

    static Kernel slice(Device d, Node n, Function<Value, DType> types) {
        Concat.Slice op = (Concat.Slice) n.op();
        DType type = types.apply(n.out(0));
        return new CudaKernel(d, "own slice", 0,
                (a, to) -> copy(d, to, type, Rows.of(a, n.in(0)).column(op.first(), type), Rows.of(a, n.out(0)),
                        n.out(0).shape()));
    }

    private static void copy(Device d, Launches to, DType type, Rows x, Rows y, Shape s) {
        long c = Concat.channels(s);
        boolean wide = c * type.bytes() % Rows.ALIGNMENT == 0 && x.isAligned(type) && y.isAligned(type);
        to.add("copy_columns", suffix(type) + (wide ? "_wide" : "_v1"), Grid.over(s.elements(), d), x.at(), x.apart(),
                y.at(), y.apart(), s.elements() / c, c);
    }

    static Kernel scale(Device d, Node n, Function<Value, DType> types) {
        Shape s = n.in(0).shape();
        return new CudaKernel(d, "own scale", 0,
                (a, to) -> to.add("scale_channels", suffix(types.apply(n.out(0))), Grid.over(s.elements(), d),
                        a.of(n.in(0)), a.of(n.in(1)), a.of(n.out(0)), (long) s.dim(0), s.elementsFrom(2),
                        (long) s.dim(1)));
    }

    static Kernel scaleBackward(Device d, Node n, Function<Value, DType> types) {
        Shape s = n.in(0).shape();
        return new CudaKernel(d, "own scale_backward", 0,
                (a, to) -> to.add("scale_channels_backward", suffix(types.apply(n.out(0))),
                        Grid.columns(s.dim(1), s.dim(0)), a.of(n.in(0)), a.of(n.in(1)), a.of(n.in(2)), a.of(n.out(0)),
                        a.of(n.out(1)), s.elementsFrom(2), (long) s.dim(1)));
    }
}
