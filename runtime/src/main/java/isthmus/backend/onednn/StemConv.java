package isthmus.backend.onednn;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.StemKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/** Networks' first convolutions, of a few channels, and their weight gradients by our own kernels in bf16. */
final class StemConv {
    /** Output channels come in multiples of this. */
    private static final int BLOCK = 32;

    private static final int MOST_CHANNELS = 4;
    private static final int MOST_EDGE = 7;
    private static final int MOST_STRIDE = 2;

    private StemConv() {}

    /** Whether our kernels take a convolution without a bias from x to y {@code [N,C,H,W]} and its weight gradient, in bf16. */
    static boolean serves(Window w, int groups, boolean bias, Shape x, Shape y) {
        return w.axes() == 2 && groups == 1 && !bias && x.dim(1) <= MOST_CHANNELS && y.dim(1) % BLOCK == 0
                && IntStream.range(0, 2).allMatch(i -> w.kernel().get(i) <= MOST_EDGE
                        && w.stride().get(i) <= MOST_STRIDE && w.dilation().get(i) == 1)
                && Dnnl.bf16InVectors();
    }

    /** Whether a convolution's input has as few channels as these kernels alone take. */
    static boolean hasFew(Value x) {
        return x.shape().dim(1) <= MOST_CHANNELS;
    }

    static Kernel forward(Node n, int threads) {
        Operands site = Operands.of(n);
        Window window = site.forward().window();
        Value y = n.out(0);
        long bytes = scratch(window, site.x(), y, (w, to) -> StemKernels.forwardScratch(w, threads, to));
        return new OwnKernel("stem", bytes, (a, arena) -> {
            MemorySegment w = Windows.write(arena, window, site.x().shape(), y.shape(), 1);
            MemorySegment x = a.of(site.x());
            MemorySegment weight = a.of(site.operand(1));
            MemorySegment to = a.of(y);
            MemorySegment mean = site.mean(a);
            MemorySegment variance = site.variance(a);
            MemorySegment scratch = a.scratch();
            return () -> StemKernels.forward(w, x, weight, to, mean, variance, scratch, bytes);
        });
    }

    static Kernel backwardWeights(Node n, int threads) {
        Operands site = Operands.of(n);
        Conv.BackwardWeights op = site.backwardWeights();
        Value y = site.operand(1);
        long bytes = scratch(op.window(), site.x(), y, (w, to) -> StemKernels.backwardWeightsScratch(w, threads, to));
        return new OwnKernel("stem", bytes, (a, arena) -> {
            MemorySegment w = Windows.write(arena, op.window(), site.x().shape(), y.shape(), 1);
            MemorySegment x = a.of(site.x());
            MemorySegment dy = a.of(y);
            MemorySegment owed = site.owed(a, arena);
            MemorySegment dw = a.of(n.out(0));
            MemorySegment scratch = a.scratch();
            return () -> StemKernels.backwardWeights(w, x, dy, owed, dw, scratch, bytes);
        });
    }

    private interface Scratch {
        void write(MemorySegment window, MemorySegment bytes);
    }

    private static long scratch(Window window, Value x, Value y, Scratch scratch) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment w = Windows.write(arena, window, x.shape(), y.shape(), 1);
            return OwnKernel.scratch(to -> scratch.write(w, to));
        }
    }
}
