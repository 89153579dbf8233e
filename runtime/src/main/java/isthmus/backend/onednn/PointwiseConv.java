package isthmus.backend.onednn;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.PointwiseKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import java.lang.foreign.MemorySegment;

/** Convolutions with one tap and their gradients by our own kernels in bf16, with a norm on the way or without. */
final class PointwiseConv {
    /** Channels, in and out, come in multiples of this. */
    private static final int BLOCK = 32;

    private static final int LEAST = 64;

    private PointwiseConv() {}

    /** Whether our kernels take a convolution from c to k channels and its gradients, in bf16. */
    static boolean serves(Window w, int groups, int c, int k) {
        return isPlain(w, groups, c) && k % BLOCK == 0;
    }

    /** Whether our weight gradient serves, and channels are not too few for its blocks. */
    static boolean servesWeights(Window w, int groups, int c, int k) {
        return isPlain(w, groups, c) && c >= LEAST && k >= LEAST;
    }

    private static boolean isPlain(Window w, int groups, int c) {
        return groups == 1 && w.equals(Window.of(w.axes(), 1, 1, 0)) && c % BLOCK == 0 && Dnnl.bf16InVectors();
    }

    private static long pixels(Value v) { return v.shape().elements() / v.shape().dim(1); }

    static Kernel forward(Node n, int threads) {
        Operands site = Operands.of(n);
        Conv op = site.forward();
        int c = site.x().shape().dim(1);
        int k = n.out(0).shape().dim(1);
        long pixels = pixels(site.x());
        long bytes = OwnKernel.scratch(to -> PointwiseKernels.forwardScratch(pixels, c, k, threads, to));
        return new OwnKernel("pointwise", bytes, (a, arena) -> {
            MemorySegment x = a.of(site.x());
            long ldx = a.stride(site.x());
            MemorySegment norm = site.norm(a, arena);
            MemorySegment w = a.of(site.operand(1));
            MemorySegment b = op.bias() ? a.of(site.operand(2)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            long ldy = a.stride(n.out(0));
            MemorySegment scratch = a.scratch();
            MemorySegment mean = site.mean(a);
            MemorySegment variance = site.variance(a);
            return () -> PointwiseKernels.forward(x, ldx, norm, w, b, y, ldy, mean, variance, pixels, c, k, scratch,
                    bytes);
        });
    }

    static Kernel backwardData(Node n, int threads) {
        Operands site = Operands.of(n);
        int c = n.out(0).shape().dim(1);
        int k = site.dy().shape().dim(1);
        long pixels = pixels(site.dy());
        long bytes = OwnKernel.scratch(to -> PointwiseKernels.backwardDataScratch(pixels, c, k, threads, to));
        return new OwnKernel("pointwise", bytes, (a, arena) -> {
            MemorySegment dy = a.of(site.dy());
            MemorySegment owed = site.owed(a, arena);
            MemorySegment w = a.of(site.weight());
            MemorySegment dx = a.of(n.out(0));
            long lddx = a.stride(n.out(0));
            MemorySegment gradient = site.gradient(a, arena);
            MemorySegment scratch = a.scratch();
            return () -> PointwiseKernels.backwardData(dy, owed, w, dx, lddx, gradient, pixels, c, k,
                    scratch, bytes);
        });
    }

    static Kernel backwardWeights(Node n, int threads) {
        Operands site = Operands.of(n);
        Conv.BackwardWeights op = site.backwardWeights();
        int c = site.x().shape().dim(1);
        int k = site.operand(1).shape().dim(1);
        long pixels = pixels(site.x());
        long bytes = OwnKernel.scratch(to -> PointwiseKernels.backwardWeightsScratch(pixels, c, k, threads, to));
        return new OwnKernel("pointwise", bytes, (a, arena) -> {
            MemorySegment x = a.of(site.x());
            long ldx = a.stride(site.x());
            MemorySegment norm = site.norm(a, arena);
            MemorySegment dy = a.of(site.operand(1));
            MemorySegment owed = site.owed(a, arena);
            MemorySegment dw = a.of(n.out(0));
            MemorySegment db = op.bias() ? a.of(n.out(1)) : MemorySegment.NULL;
            MemorySegment scratch = a.scratch();
            return () -> {
                PointwiseKernels.backwardWeights(x, ldx, norm, dy, owed, dw, pixels, c, k, scratch,
                        bytes);
                if (op.bias()) Kernels.columnSum(Kernels.BF16, dy, k, db, pixels, k);
            };
        });
    }
}
