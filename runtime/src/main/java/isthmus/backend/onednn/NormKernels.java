package isthmus.backend.onednn;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.Kernels;
import isthmus.op.Activation;
import isthmus.op.GroupNorm;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Batch and group normalisation by our own kernels: one pass for what oneDNN would take two or three. */
final class NormKernels {
    private NormKernels() {}

    /** The C library's number of an activation. */
    private static int code(Activation activation) {
        return switch (activation) {
            case NONE -> Kernels.NONE;
            case RELU -> Kernels.RELU;
            case SILU -> Kernels.SILU;
        };
    }

    static Kernel statistics(Node n, Function<Value, DType> types) {
        int t = OwnKernels.code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        long c = s.dim(1);
        return new OwnKernel("channel_statistics", (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment mean = a.of(n.out(0));
            MemorySegment variance = a.of(n.out(1));
            return () -> Kernels.channelStatistics(t, x, c, s.elements() / c, c, mean, variance);
        });
    }

    static Kernel update(Node n, Function<Value, DType> types) {
        UpdateStatistics op = (UpdateStatistics) n.op();
        long c = n.in(0).shape().elements();
        return new OwnKernel("update_statistics", (a, arena) -> {
            MemorySegment mean = a.of(n.in(0));
            MemorySegment variance = a.of(n.in(1));
            MemorySegment runningMean = a.of(n.in(2));
            MemorySegment runningVariance = a.of(n.in(3));
            return () -> Kernels.updateStatistics(mean, variance, runningMean, runningVariance, op.momentum(),
                    op.count(), c);
        });
    }

    static Kernel forward(Node n, Function<Value, DType> types) {
        Normalize op = (Normalize) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        long c = n.in(0).shape().dim(1);
        long rows = n.in(0).shape().elements() / c;
        return new OwnKernel("batch_norm" + (op.residual() ? "+add" : "") + op.activation().suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment mean = a.of(n.in(1));
            MemorySegment variance = a.of(n.in(2));
            MemorySegment gamma = a.of(n.in(3));
            MemorySegment beta = a.of(n.in(4));
            MemorySegment residual = op.residual() ? a.of(n.in(5)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            return () -> Kernels.batchNorm(t, x, c, mean, variance, gamma, beta, op.epsilon(), residual,
                    activation, y, c, rows, c);
        });
    }

    static Kernel backward(Node n, Function<Value, DType> types) {
        Normalize.BackwardPass op = (Normalize.BackwardPass) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        long c = n.in(0).shape().dim(1);
        long rows = n.in(0).shape().elements() / c;
        return new OwnKernel("batch_norm_backward" + op.activation().suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            MemorySegment mean = a.of(n.in(2));
            MemorySegment variance = a.of(n.in(3));
            MemorySegment gamma = a.of(n.in(4));
            MemorySegment beta = a.of(n.in(5));
            MemorySegment y = op.masked() ? a.of(n.in(6)) : MemorySegment.NULL;
            MemorySegment dx = a.of(n.out(0));
            MemorySegment dgamma = a.of(n.out(1));
            MemorySegment dbeta = a.of(n.out(2));
            MemorySegment branch = op.masked() ? a.of(n.out(3)) : MemorySegment.NULL;
            return () -> Kernels.batchNormBackward(t, x, c, y, dy, c, mean, variance, gamma, beta,
                    op.epsilon(), activation, op.constant() ? 1 : 0, dx, dgamma, dbeta, branch, rows, c);
        });
    }

    /** The forward kernel does it: mean and shift are zero. */
    static Kernel frozenBackward(Node n, Function<Value, DType> types) {
        Normalize.FrozenBackwardPass op = (Normalize.FrozenBackwardPass) n.op();
        int t = OwnKernels.code(types.apply(n.in(0)));
        long c = n.in(0).shape().dim(1);
        long rows = n.in(0).shape().elements() / c;
        return new OwnKernel("batch_norm", (a, arena) -> {
            MemorySegment dz = a.of(n.in(0));
            MemorySegment variance = a.of(n.in(1));
            MemorySegment gamma = a.of(n.in(2));
            MemorySegment dx = a.of(n.out(0));
            MemorySegment zeros = arena.allocate(c * Float.BYTES, Float.BYTES);
            return () -> Kernels.batchNorm(t, dz, c, zeros, variance, gamma, zeros, op.epsilon(), MemorySegment.NULL, 0,
                    dx, c, rows, c);
        });
    }

    static Kernel group(Node n, Function<Value, DType> types) {
        GroupNorm op = (GroupNorm) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        long c = s.dim(1);
        return new OwnKernel("group_norm" + (op.residual() ? "+add" : "") + op.activation().suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment gamma = a.of(n.in(1));
            MemorySegment beta = a.of(n.in(2));
            MemorySegment residual = op.residual() ? a.of(n.in(3)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            MemorySegment mean = a.of(n.out(1));
            MemorySegment variance = a.of(n.out(2));
            return () -> Kernels.groupNorm(t, x, c, gamma, beta, op.epsilon(), residual, activation, y, c, mean,
                    variance, s.dim(0), s.elementsFrom(2), c, op.groups());
        });
    }

    static Kernel groupBackward(Node n, Function<Value, DType> types) {
        GroupNorm.BackwardPass op = (GroupNorm.BackwardPass) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        long c = s.dim(1);
        return new OwnKernel("group_norm_backward" + op.activation().suffix(), (a, arena) -> {
            MemorySegment x = a.of(n.in(0));
            MemorySegment dy = a.of(n.in(1));
            MemorySegment mean = a.of(n.in(2));
            MemorySegment variance = a.of(n.in(3));
            MemorySegment gamma = a.of(n.in(4));
            MemorySegment beta = a.of(n.in(5));
            MemorySegment y = op.masked() ? a.of(n.in(6)) : MemorySegment.NULL;
            MemorySegment dx = a.of(n.out(0));
            MemorySegment dgamma = a.of(n.out(1));
            MemorySegment dbeta = a.of(n.out(2));
            MemorySegment branch = op.masked() ? a.of(n.out(3)) : MemorySegment.NULL;
            return () -> Kernels.groupNormBackward(t, x, c, y, dy, c, mean, variance, gamma, beta,
                    op.epsilon(), activation, dx, dgamma, dbeta, branch, s.dim(0), s.elementsFrom(2), c, op.groups());
        });
    }
}
