package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

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
final class GatedNormKernels {
    private GatedNormKernels() {}

    /** Mean, variance, gamma and beta among a node's inputs. */
    private record Numbers(MemorySegment mean, MemorySegment variance, MemorySegment gamma, MemorySegment beta) {
        static Numbers of(Node n, Addresses a, int first) {
            return new Numbers(a.of(n.in(first)), a.of(n.in(first + 1)), a.of(n.in(first + 2)), a.of(n.in(first + 3)));
        }
    }

    static Kernel means(Node n, Function<Value, DType> types) {
        GatedNorm.Means op = (GatedNorm.Means) n.op();
        return sums("norm_means", n, types, op.epsilon(), op.activation(), false);
    }

    static Kernel factors(Node n, Function<Value, DType> types) {
        GatedNorm.Factors op = (GatedNorm.Factors) n.op();
        return sums("norm_factors", n, types, op.epsilon(), op.activation(), true);
    }

    private static Kernel sums(String name, Node n, Function<Value, DType> types, float epsilon, Activation activation,
            boolean products) {
        int t = code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        return new OwnKernel(name + activation.suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = products ? a.of(n.in(1)) : MemorySegment.NULL;
            Numbers k = Numbers.of(n, a, products ? 2 : 1);
            MemorySegment p = a.of(n.out(0));
            return () -> isthmus.bindings.kernels.GatedNormKernels.means(t, x, dy, k.mean, k.variance, k.gamma, k.beta,
                    epsilon, NormKernels.code(activation), p, s.dim(0), s.elementsFrom(2), s.dim(1));
        });
    }

    static Kernel scaled(Node n, Function<Value, DType> types) {
        GatedNorm.Scaled op = (GatedNorm.Scaled) n.op();
        int t = code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        return new OwnKernel("norm_scaled" + op.activation().suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            Numbers k = Numbers.of(n, a, 1);
            MemorySegment factors = a.of(n.in(5));
            MemorySegment y = a.of(n.out(0));
            return () -> isthmus.bindings.kernels.GatedNormKernels.scaled(t, x, k.mean, k.variance, k.gamma, k.beta,
                    op.epsilon(), NormKernels.code(op.activation()), factors, y, s.dim(0), s.elementsFrom(2), s.dim(1));
        });
    }

    static Kernel backward(Node n, Function<Value, DType> types) {
        GatedNorm.BackwardPass op = (GatedNorm.BackwardPass) n.op();
        int t = code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        return new OwnKernel("norm_scaled_backward" + op.activation().suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            Numbers k = Numbers.of(n, a, 2);
            MemorySegment factors = a.of(n.in(6));
            MemorySegment dp = a.of(n.in(7));
            MemorySegment dx = a.of(n.out(0));
            MemorySegment dgamma = a.of(n.out(1));
            MemorySegment dbeta = a.of(n.out(2));
            return () -> isthmus.bindings.kernels.GatedNormKernels.scaledBackward(t, x, dy, k.mean, k.variance, k.gamma,
                    k.beta, op.epsilon(), NormKernels.code(op.activation()), factors, dp, dx, dgamma, dbeta, s.dim(0),
                    s.elementsFrom(2), s.dim(1));
        });
    }
}
