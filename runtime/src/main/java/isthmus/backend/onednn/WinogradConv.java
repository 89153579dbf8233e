package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.bindings.kernels.WinogradKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Window;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/** Convolutions, and their data gradients, by our own kernel for what {@link Winograd} serves. */
final class WinogradConv implements Kernel {
    private final Node n;
    private final boolean turned;
    private final boolean bias;
    private final Arena constants = Arena.ofShared();
    private final MemorySegment window;
    private final long bytes;
    private MemorySegment x;
    private MemorySegment w;
    private MemorySegment b;
    private MemorySegment y;
    private MemorySegment scratch;

    private WinogradConv(Node n, Window window, boolean turned, boolean bias, int threads) {
        this.n = n;
        this.turned = turned;
        this.bias = bias;
        this.window = Windows.write(constants, window, n.in(0).shape(), n.out(0).shape(), 1);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment to = arena.allocate(ValueLayout.JAVA_LONG);
            WinogradKernels.winogradScratch(this.window, threads, to);
            this.bytes = to.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    static Kernel forward(Node n, int threads) {
        Conv op = (Conv) n.op();
        return new WinogradConv(n, op.window(), false, op.bias(), threads);
    }

    /** The convolution of dy with the weights turned round, in a window that is padded by what the first was not. */
    static Kernel backwardData(Node n, int threads) {
        Window w = ((Conv.BackwardData) n.op()).window();
        List<Integer> rest = IntStream.range(0, w.axes()).map(i -> w.kernel().get(i) - 1 - w.padding().get(i)).boxed()
                .toList();
        return new WinogradConv(n, new Window(w.kernel(), w.stride(), rest, w.dilation()), true, false, threads);
    }

    @Override
    public String implementation() { return "own winograd"; }

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
    public void run() { WinogradKernels.winograd(window, x, w, turned, b, y, scratch, bytes); }

    @Override
    public void close() { constants.close(); }
}
