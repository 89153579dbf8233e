package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.bindings.kernels.DenseConvKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Forward convolutions of one group in float32 by our own kernel. oneDNN's sum thousands of terms in float32: most of a
 * network's error, enough to turn the sign of values near zero, and with a ReLU's sign a gradient. Ours are 4 to 16 times
 * nearer to float64, at 0.7 to 0.8 of the speed.
 */
final class DenseConv implements Kernel {
    private final Node n;
    private final boolean bias;
    private final Arena constants = Arena.ofShared();
    private final MemorySegment window;
    private final long bytes;
    private MemorySegment x;
    private MemorySegment w;
    private MemorySegment b;
    private MemorySegment y;
    private MemorySegment scratch;

    DenseConv(Node n, int threads) {
        Conv op = (Conv) n.op();
        this.n = n;
        this.bias = op.bias();
        this.window = Windows.write(constants, op.window(), n.in(0).shape(), n.out(0).shape(), 1);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment to = arena.allocate(ValueLayout.JAVA_LONG);
            DenseConvKernels.convDenseScratch(window, threads, to);
            this.bytes = to.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    @Override
    public String implementation() { return "own conv_dense"; }

    @Override
    public long scratchBytes() { return bytes; }

    @Override
    public void bind(Addresses a) {
        x = a.of(n.in(0));
        w = a.of(n.in(1));
        b = bias ? a.of(n.in(2)) : MemorySegment.NULL;
        y = a.of(n.out(0));
        scratch = a.scratch();
    }

    @Override
    public void run() { DenseConvKernels.convDense(window, x, w, b, y, scratch, bytes); }

    @Override
    public void close() { constants.close(); }
}
