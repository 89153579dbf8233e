package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Kernel;
import isthmus.op.AvgPool;
import isthmus.op.MaxPool;
import isthmus.op.Node;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.util.function.Function;

/** Pooling and upsampling by our own kernels, in two and three dimensions alike. */
final class Pools {
    private Pools() {}

    static Kernel max(Device d, Node n, Function<Value, DType> types) {
        var w = new Launches.Geometry(((MaxPool) n.op()).window(), n.in(0).shape(), n.out(0).shape(), 1);
        return new CudaKernel(d, "own max_pool", 0,
                (a, to) -> to.add("max_pool", suffix(types.apply(n.in(0))), Grid.over(n.out(0).shape().elements(), d),
                        w, a.of(n.in(0)), a.stride(n.in(0)), a.of(n.out(0)), a.stride(n.out(0)), a.of(n.out(1))));
    }

    static Kernel maxBackward(Device d, Node n, Function<Value, DType> types) {
        MaxPool.BackwardPass op = (MaxPool.BackwardPass) n.op();
        var w = new Launches.Geometry(op.window(), op.x(), n.in(0).shape(), 1);
        return new CudaKernel(d, "own max_pool_backward", 0,
                (a, to) -> to.add("max_pool_backward", suffix(types.apply(n.in(0))), Grid.over(op.x().elements(), d), w,
                        a.of(n.in(0)), a.stride(n.in(0)), a.of(n.in(1)), a.of(n.out(0)), a.stride(n.out(0))));
    }

    static Kernel average(Device d, Node n, Function<Value, DType> types) {
        var w = new Launches.Geometry(((AvgPool) n.op()).window(), n.in(0).shape(), n.out(0).shape(), 1);
        return new CudaKernel(d, "own avg_pool", 0,
                (a, to) -> to.add("avg_pool", suffix(types.apply(n.in(0))), Grid.over(n.out(0).shape().elements(), d),
                        w, a.of(n.in(0)), a.stride(n.in(0)), a.of(n.out(0)), a.stride(n.out(0))));
    }

    static Kernel averageBackward(Device d, Node n, Function<Value, DType> types) {
        AvgPool.BackwardPass op = (AvgPool.BackwardPass) n.op();
        var w = new Launches.Geometry(op.window(), op.x(), n.in(0).shape(), 1);
        return new CudaKernel(d, "own avg_pool_backward", 0,
                (a, to) -> to.add("avg_pool_backward", suffix(types.apply(n.in(0))), Grid.over(op.x().elements(), d), w,
                        a.of(n.in(0)), a.stride(n.in(0)), a.of(n.out(0)), a.stride(n.out(0))));
    }

    static Kernel global(Device d, Node n, Function<Value, DType> types) {
        Shape s = n.in(0).shape();
        return new CudaKernel(d, "own global_avg_pool", 0,
                (a, to) -> to.add("global_avg_pool", suffix(types.apply(n.in(0))),
                        Grid.over(n.out(0).shape().elements(), d), a.of(n.in(0)), a.of(n.out(0)), (long) s.dim(0),
                        s.elementsFrom(2), (long) s.dim(1)));
    }

    static Kernel globalBackward(Device d, Node n, Function<Value, DType> types) {
        Shape s = n.out(0).shape();
        return new CudaKernel(d, "own global_avg_pool_backward", 0,
                (a, to) -> to.add("global_avg_pool_backward", suffix(types.apply(n.in(0))), Grid.over(s.elements(), d),
                        a.of(n.in(0)), a.of(n.out(0)), (long) s.dim(0), s.elementsFrom(2), (long) s.dim(1)));
    }

    static Kernel upsample(Device d, Node n, Function<Value, DType> types) {
        return upsample(d, n, "upsample", ((Upsample) n.op()).mode(), n.in(0).shape(), n.out(0).shape(), types);
    }

    static Kernel upsampleBackward(Device d, Node n, Function<Value, DType> types) {
        Upsample.BackwardPass op = (Upsample.BackwardPass) n.op();
        return upsample(d, n, "upsample_backward", op.mode(), op.x(), n.in(0).shape(), types);
    }

    private static Kernel upsample(Device d, Node n, String family, Upsample.Mode mode, Shape small, Shape large,
            Function<Value, DType> types) {
        var w = new Launches.Geometry(Window.of(small.rank() - 2, 1, 1, 0), small, large, 1);
        return new CudaKernel(d, "own " + family, 0,
                (a, to) -> to.add(family, suffix(types.apply(n.in(0))), Grid.over(n.out(0).shape().elements(), d), w,
                        mode == Upsample.Mode.LINEAR ? 1 : 0, a.of(n.in(0)), a.of(n.out(0))));
    }
}
