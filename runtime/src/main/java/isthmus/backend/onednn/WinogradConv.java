package isthmus.backend.onednn;

import static isthmus.backend.onednn.OwnKernels.code;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.WinogradKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/** Convolutions and their gradients by our own kernels for what {@link Winograd} serves, with a norm on the way or without. */
final class WinogradConv {
    private WinogradConv() {}

    static Kernel forward(Node n, int threads) {
        Operands site = Operands.of(n);
        Conv op = site.forward();
        long bytes = scratch(op.window(), site.x(), n.out(0), threads);
        return new OwnKernel("winograd", bytes, (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), site.x().shape(), n.out(0).shape(), 1);
            MemorySegment x = a.of(site.x());
            long ldx = a.stride(site.x());
            MemorySegment norm = site.norm(a, arena);
            MemorySegment w = a.of(site.operand(1));
            MemorySegment b = op.bias() ? a.of(site.operand(2)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            long ldy = a.stride(n.out(0));
            MemorySegment mean = site.mean(a);
            MemorySegment variance = site.variance(a);
            MemorySegment scratch = a.scratch();
            return () -> WinogradKernels.winograd(window, x, ldx, norm, MemorySegment.NULL, w, false, b, y, ldy, mean,
                    variance, MemorySegment.NULL, scratch, bytes);
        });
    }

    private static long scratch(Window window, Value x, Value y, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment w = Windows.write(arena, window, x.shape(), y.shape(), 1);
            return OwnKernel.scratch(to -> WinogradKernels.winogradScratch(w, threads, to));
        }
    }

    /** The convolution of dy with the weights turned round, in a window that is padded by what the first was not. */
    static Kernel backwardData(Node n, int threads) {
        Operands site = Operands.of(n);
        Window turned = turned(site.backwardData().window());
        long bytes = scratch(turned, site.dy(), n.out(0), threads);
        return new OwnKernel("winograd", bytes, (a, arena) -> {
            MemorySegment window = Windows.write(arena, turned, site.dy().shape(), n.out(0).shape(), 1);
            MemorySegment dy = a.of(site.dy());
            long lddy = a.stride(site.dy());
            MemorySegment owed = site.owed(a, arena);
            MemorySegment w = a.of(site.weight());
            MemorySegment dx = a.of(n.out(0));
            long lddx = a.stride(n.out(0));
            MemorySegment gradient = site.gradient(a, arena);
            MemorySegment scratch = a.scratch();
            return () -> WinogradKernels.winograd(window, dy, lddy, MemorySegment.NULL, owed, w, true,
                    MemorySegment.NULL,
                    dx, lddx, MemorySegment.NULL, MemorySegment.NULL, gradient, scratch, bytes);
        });
    }

    private static Window turned(Window w) {
        List<Integer> rest = IntStream.range(0, w.axes()).map(i -> w.kernel().get(i) - 1 - w.padding().get(i)).boxed()
                .toList();
        return new Window(w.kernel(), w.stride(), rest, w.dilation());
    }

    static Kernel backwardWeights(Node n, int threads) {
        Operands site = Operands.of(n);
        Conv.BackwardWeights op = site.backwardWeights();
        Value to = site.operand(1);
        long channels = to.shape().dim(1);
        long bytes;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment w = Windows.write(arena, op.window(), site.x().shape(), to.shape(), 1);
            bytes = OwnKernel.scratch(size -> WinogradKernels.weightsScratch(w, threads, size));
        }
        return new OwnKernel("winograd_weights", bytes, (a, arena) -> {
            MemorySegment window = Windows.write(arena, op.window(), site.x().shape(), to.shape(), 1);
            MemorySegment x = a.of(site.x());
            long ldx = a.stride(site.x());
            MemorySegment norm = site.norm(a, arena);
            MemorySegment dy = a.of(to);
            long lddy = a.stride(to);
            MemorySegment owed = site.owed(a, arena);
            MemorySegment dw = a.of(n.out(0));
            MemorySegment db = op.bias() ? a.of(n.out(1)) : MemorySegment.NULL;
            MemorySegment scratch = a.scratch();
            return () -> {
                WinogradKernels.weights(window, x, ldx, norm, dy, lddy, owed, dw, scratch, bytes);
                if (op.bias())
                    Kernels.columnSum(code(DType.BF16), dy, lddy, db,
                            to.shape().elements() / channels, channels);
            };
        });
    }
}
