package isthmus.backend.onednn;

import isthmus.backend.Kernel;
import isthmus.bindings.kernels.DenseConvKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Forward convolutions of one group in float32 by our own kernel. oneDNN's sum thousands of terms in float32: most of a
 * network's error, enough to turn the sign of values near zero, and with a ReLU's sign a gradient. Ours are 4 to 16 times
 * nearer to float64, at 0.7 to 0.8 of the speed.
 */
final class DenseConv {
    private DenseConv() {}

    static Kernel forward(Node n, int threads) {
        Conv op = (Conv) n.op();
        long bytes;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = window(arena, n, op);
            bytes = OwnKernel.scratch(to -> DenseConvKernels.convDenseScratch(window, threads, to));
        }
        return new OwnKernel("conv_dense", bytes, (a, arena) -> {
            MemorySegment window = window(arena, n, op);
            MemorySegment x = a.of(n.in(0));
            MemorySegment w = a.of(n.in(1));
            MemorySegment b = op.bias() ? a.of(n.in(2)) : MemorySegment.NULL;
            MemorySegment y = a.of(n.out(0));
            MemorySegment scratch = a.scratch();
            return () -> DenseConvKernels.convDense(window, x, w, b, y, scratch, bytes);
        });
    }

    private static MemorySegment window(Arena arena, Node n, Conv op) {
        return Windows.write(arena, op.window(), n.in(0).shape(), n.out(0).shape(), 1);
    }
}
