package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.PointwiseKernels;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Function;

/**
 * Weight gradients of convolutions with one tap, in bf16, by our own kernel where it is faster than oneDNN's: by a sixth on
 * DenseNet-121's first layers, up to 2.2 times on small maps.
 */
final class PointwiseWeights implements Kernel {
    private static final int BLOCK = 32;
    private static final int LEAST_IN = 64;
    private static final int LEAST_OUT = 64;

    private final Node n;
    private final boolean bias;
    private final long pixels;
    private final int c;
    private final int k;
    private final long bytes;
    private MemorySegment x;
    private MemorySegment dy;
    private MemorySegment dw;
    private MemorySegment db;
    private MemorySegment scratch;

    PointwiseWeights(Node n, int threads) {
        this.n = n;
        this.bias = ((Conv.BackwardWeights) n.op()).bias();
        this.c = n.in(0).shape().dim(1);
        this.k = n.in(1).shape().dim(1);
        this.pixels = n.in(0).shape().elements() / c;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment to = arena.allocate(ValueLayout.JAVA_LONG);
            PointwiseKernels.backwardWeightsScratch(pixels, c, k, threads, to);
            this.bytes = to.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    static boolean serves(Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        int c = n.in(0).shape().dim(1);
        return types.apply(n.in(0)) == DType.BF16 && types.apply(n.in(1)) == DType.BF16 && op.groups() == 1
                && plain(op.window()) && c % BLOCK == 0 && c >= LEAST_IN && n.in(1).shape().dim(1) >= LEAST_OUT
                && Dnnl.bf16InVectors();
    }

    private static boolean plain(Window w) {
        return w.volume() == 1 && w.stride().stream().allMatch(s -> s == 1)
                && w.padding().stream().allMatch(p -> p == 0);
    }

    @Override
    public String implementation() { return "own pointwise"; }

    @Override
    public long scratchBytes() { return bytes; }

    @Override
    public void bind(Addresses a) {
        x = a.of(n.in(0));
        dy = a.of(n.in(1));
        dw = a.of(n.out(0));
        db = bias ? a.of(n.out(1)) : MemorySegment.NULL;
        scratch = a.scratch();
    }

    @Override
    public void run() {
        PointwiseKernels.backwardWeights(x, c, MemorySegment.NULL, dy, dw, pixels, c, k, scratch, bytes);
        if (bias) Kernels.columnSum(Kernels.BF16, dy, k, db, pixels, k);
    }
}
