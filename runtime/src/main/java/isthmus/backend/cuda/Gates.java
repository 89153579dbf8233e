package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.op.Activation;
import isthmus.op.GatedNorm;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Normalisation before squeeze-and-excitation by our own kernels. */
final class Gates {
    private Gates() {}

    static Kernel means(Device d, Node n, Function<Value, DType> types) {
        GatedNorm.Means op = (GatedNorm.Means) n.op();
        return sums(d, n, types, op.epsilon(), op.activation());
    }

    static Kernel factors(Device d, Node n, Function<Value, DType> types) {
        GatedNorm.Factors op = (GatedNorm.Factors) n.op();
        return sums(d, n, types, op.epsilon(), op.activation());
    }

    /** One number a sample and channel: the mean of the activated value, or the sum of its product with dy. */
    private static Kernel sums(Device d, Node n, Function<Value, DType> types, float epsilon, Activation activation) {
        DType type = types.apply(n.in(0));
        Shape s = n.in(0).shape();
        Norms.Extent e = Norms.Extent.group(d, s, type, s.dim(1));
        boolean products = n.op() instanceof GatedNorm.Factors;
        return new CudaKernel(d, name(n, activation), e.partial(), (a, to) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = products ? a.of(n.in(1)) : MemorySegment.NULL;
            int first = products ? 2 : 1;
            boolean wide = e.wide(e.rows(x), e.rows(dy));
            to.add("gate_sums", e.name(wide), e.grid(wide, e.splits()), x, dy, a.of(n.in(first)), a.of(n.in(first + 1)),
                    a.of(n.in(first + 2)), a.of(n.in(first + 3)), epsilon, Norms.code(activation), e.rows(), e.c(),
                    a.scratch());
            to.add("gate_finish", suffix(type), Grid.over(e.samples() * e.c(), d), a.scratch(), (long) e.splits(),
                    e.samples(), e.c(), products ? 1f : 1f / e.rows(), a.of(n.out(0)));
        });
    }

    private static String name(Node n, Activation activation) { return "own " + n.op().name() + activation.suffix(); }

    static Kernel scaled(Device d, Node n, Function<Value, DType> types) {
        GatedNorm.Scaled op = (GatedNorm.Scaled) n.op();
        Shape s = n.in(0).shape();
        Norms.Extent e = Norms.Extent.group(d, s, types.apply(n.in(0)), s.dim(1));
        return new CudaKernel(d, name(n, op.activation()), 0, (a, to) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment factors = a.of(n.in(5));
            MemorySegment y = a.of(n.out(0));
            boolean wide = e.wide(e.rows(x), e.rows(factors), e.rows(y));
            to.add("gate_scale", e.name(wide), e.apply(d, wide), x, a.of(n.in(1)), a.of(n.in(2)), a.of(n.in(3)),
                    a.of(n.in(4)), op.epsilon(), Norms.code(op.activation()), factors, y, e.rows(), e.c());
        });
    }

    static Kernel backward(Device d, Node n, Function<Value, DType> types) {
        GatedNorm.BackwardPass op = (GatedNorm.BackwardPass) n.op();
        Norms.Extent e = Norms.Extent.batch(d, n.in(0).shape(), types.apply(n.in(0)));
        return new CudaKernel(d, name(n, op.activation()), e.backwardScratch(), (a, to) -> backward(d, n, e, a, to));
    }

    private static void backward(Device d, Node n, Norms.Extent e, Addresses a, Launches to) {
        GatedNorm.BackwardPass op = (GatedNorm.BackwardPass) n.op();
        MemorySegment[] in = n.inputs().stream().map(a::of).toArray(MemorySegment[]::new);
        MemorySegment dx = a.of(n.out(0));
        long positions = n.in(0).shape().elementsFrom(2);
        int activation = Norms.code(op.activation());
        boolean wide = e.wide(e.rows(in[0]), e.rows(in[1]), e.rows(in[6]), e.rows(in[7]), e.rows(dx));
        to.add("gate_backward_sums", e.name(wide), e.grid(wide, e.splits()), in[0], in[1], in[6], in[7], positions,
                in[2],
                in[3], in[4], in[5], op.epsilon(), activation, e.rows(), e.c(), a.scratch());
        Norms.finish(e, to, in[4], false, a.of(n.out(1)), a.of(n.out(2)), a.scratch());
        to.add("gate_backward_apply", e.name(wide), e.apply(d, wide), in[0], in[1], in[6], in[7], positions, in[2],
                in[3],
                in[4], in[5], op.epsilon(), activation, a.scratch().asSlice(e.partial()), dx, e.rows(), e.c());
    }
}
