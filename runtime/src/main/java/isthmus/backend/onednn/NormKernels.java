package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.bindings.kernels.Kernels;
import isthmus.op.Activation;
import isthmus.op.GroupNorm;
import isthmus.op.Node;
import isthmus.op.NormBackward;
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
    static int code(Activation activation) {
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
            long ldx = a.stride(n.in(0));
            return () -> Kernels.channelStatistics(t, x, ldx, s.elements() / c, c, mean, variance);
        });
    }

    static Kernel settle(Node n, Function<Value, DType> types) {
        int t = OwnKernels.code(types.apply(n.in(0)));
        long c = n.in(0).shape().dim(1);
        long rows = n.in(0).shape().elements() / c;
        return new OwnKernel("settle", (a, arena) -> {
            MemorySegment d = a.of(n.in(0));
            MemorySegment x = a.of(n.in(1));
            MemorySegment slope = a.of(n.in(2));
            MemorySegment shift = a.of(n.in(3));
            MemorySegment y = a.of(n.out(0));
            long ldd = a.stride(n.in(0));
            long ldx = a.stride(n.in(1));
            long ldy = a.stride(n.out(0));
            return () -> Kernels.settle(t, d, ldd, x, ldx, slope, shift, y, ldy, rows, c);
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
            long ldx = a.stride(n.in(0));
            long ldy = a.stride(n.out(0));
            return () -> Kernels.batchNorm(t, x, ldx, mean, variance, gamma, beta, op.epsilon(), residual,
                    activation, y, ldy, rows, c);
        });
    }

    static Kernel backward(Node n, Function<Value, DType> types) {
        Normalize.BackwardPass op = (Normalize.BackwardPass) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        long c = n.in(0).shape().dim(1);
        long rows = n.in(0).shape().elements() / c;
        return new OwnKernel("batch_norm_backward" + suffix(op, op.activation()), (a, arena) -> {
            Pass p = new Pass(n, a);
            return () -> Kernels.batchNormBackward(t, p.x, p.ldx, p.y, p.dy, c, p.mean, p.variance, p.gamma, p.beta,
                    op.epsilon(), activation, op.constant() ? 1 : 0, p.dx, p.lddx, p.add, p.ldadd, p.dgamma, p.dbeta,
                    p.branch, rows, c);
        });
    }

    private static String suffix(NormBackward op, Activation activation) {
        return activation.suffix() + (op.adds() ? "+add" : "");
    }

    /** The arguments of a backward pass. */
    private static final class Pass {
        final MemorySegment x;
        final MemorySegment dy;
        final MemorySegment mean;
        final MemorySegment variance;
        final MemorySegment gamma;
        final MemorySegment beta;
        final MemorySegment y;
        final MemorySegment add;
        final MemorySegment dx;
        final MemorySegment dgamma;
        final MemorySegment dbeta;
        final MemorySegment branch;
        final long ldx;
        final long lddx;
        final long ldadd;

        Pass(Node n, Addresses a) {
            NormBackward op = (NormBackward) n.op();
            x = a.of(n.in(0));
            dy = a.of(n.in(1));
            mean = a.of(n.in(2));
            variance = a.of(n.in(3));
            gamma = a.of(n.in(4));
            beta = a.of(n.in(5));
            y = op.masked() ? a.of(n.in(6)) : MemorySegment.NULL;
            add = op.adds() ? a.of(n.inputs().getLast()) : MemorySegment.NULL;
            dx = a.of(n.out(0));
            dgamma = a.of(n.out(1));
            dbeta = a.of(n.out(2));
            branch = op.masked() ? a.of(n.out(3)) : MemorySegment.NULL;
            ldx = a.stride(n.in(0));
            lddx = a.stride(n.out(0));
            ldadd = op.adds() ? a.stride(n.inputs().getLast()) : lddx;
        }
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
            long ldx = a.stride(n.in(0));
            long ldy = a.stride(n.out(0));
            return () -> Kernels.groupNorm(t, x, ldx, gamma, beta, op.epsilon(), residual, activation, y, ldy, mean,
                    variance, s.dim(0), s.elementsFrom(2), c, op.groups());
        });
    }

    static Kernel groupAgain(Node n, Function<Value, DType> types) {
        GroupNorm.Again op = (GroupNorm.Again) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        long c = s.dim(1);
        return new OwnKernel("group_norm_again" + (op.residual() ? "+add" : "") + op.activation().suffix(),
                (a, arena) -> {
                    MemorySegment x = a.of(n.in(0));
                    MemorySegment mean = a.of(n.in(1));
                    MemorySegment variance = a.of(n.in(2));
                    MemorySegment gamma = a.of(n.in(3));
                    MemorySegment beta = a.of(n.in(4));
                    MemorySegment residual = op.residual() ? a.of(n.in(5)) : MemorySegment.NULL;
                    MemorySegment y = a.of(n.out(0));
                    long ldx = a.stride(n.in(0));
                    long ldy = a.stride(n.out(0));
                    return () -> Kernels.groupNormAgain(t, x, ldx, mean, variance, gamma, beta, op.epsilon(), residual,
                            activation, y, ldy, s.dim(0), s.elementsFrom(2), c, op.groups());
                });
    }

    static Kernel groupBackward(Node n, Function<Value, DType> types) {
        GroupNorm.BackwardPass op = (GroupNorm.BackwardPass) n.op();
        int activation = code(op.activation());
        int t = OwnKernels.code(types.apply(n.in(0)));
        Shape s = n.in(0).shape();
        long c = s.dim(1);
        return new OwnKernel("group_norm_backward" + suffix(op, op.activation()), (a, arena) -> {
            Pass p = new Pass(n, a);
            return () -> Kernels.groupNormBackward(t, p.x, p.ldx, p.y, p.dy, c, p.mean, p.variance, p.gamma, p.beta,
                    op.epsilon(), activation, p.dx, p.lddx, p.add, p.ldadd, p.dgamma, p.dbeta, p.branch, s.dim(0),
                    s.elementsFrom(2), c, op.groups());
        });
    }
}
