package isthmus.backend.cuda;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.op.BceWithLogits;
import isthmus.op.DiceCrossEntropy;
import isthmus.op.Focal;
import isthmus.op.Node;
import isthmus.op.SmoothL1;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Function;

/** Losses by our own kernels, each with its gradient. */
final class Losses {
    private static final Grid ONE_BLOCK = new Grid(1, 1, 1);

    private Losses() {}

    static Kernel crossEntropy(Device d, Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        return new CudaKernel(d, "own cross_entropy", 0,
                (a, to) -> to.add("cross_entropy", "", ONE_BLOCK, a.of(n.in(0)), a.of(n.in(1)), a.of(n.out(0)),
                        a.of(n.out(1)), x.elements() / x.dim(1), (long) x.dim(1)));
    }

    static Kernel bceWithLogits(Device d, Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        List<Float> weights = ((BceWithLogits) n.op()).positiveWeights();
        return new CudaKernel(d, "own bce_with_logits", bytes(weights), (a, to) -> {
            MemorySegment w = constants(to, a, weights);
            to.add("bce_with_logits", "", ONE_BLOCK, a.of(n.in(0)), a.of(n.in(1)), w, a.of(n.out(0)), a.of(n.out(1)),
                    (long) x.dim(0), (long) x.dim(1));
        });
    }

    static Kernel focal(Device d, Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        Focal op = (Focal) n.op();
        return new CudaKernel(d, "own focal", bytes(op.positiveWeights()), (a, to) -> {
            MemorySegment w = constants(to, a, op.positiveWeights());
            to.add("focal", "", ONE_BLOCK, a.of(n.in(0)), a.of(n.in(1)), w, op.gamma(), op.alpha(), a.of(n.out(0)),
                    a.of(n.out(1)), (long) x.dim(0), (long) x.dim(1));
        });
    }

    static Kernel smoothL1(Device d, Node n, Function<Value, DType> types) {
        return new CudaKernel(d, "own smooth_l1", 0,
                (a, to) -> to.add("smooth_l1", "", ONE_BLOCK, a.of(n.in(0)), a.of(n.in(1)), ((SmoothL1) n.op()).beta(),
                        a.of(n.out(0)), a.of(n.out(1)), n.in(0).shape().elements()));
    }

    static Kernel diceCrossEntropy(Device d, Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        DiceCrossEntropy op = (DiceCrossEntropy) n.op();
        long samples = x.dim(0);
        long c = x.dim(1);
        long space = x.elementsFrom(2);
        final long positionsEach = 4096;
        long splits = Math.max(1, Math.min(d.multiprocessors, space / positionsEach));
        long partial = samples * splits * (3 * c + 2) * Double.BYTES;
        long slope = (2 * samples * c + 1) * Double.BYTES;
        return new CudaKernel(d, "own dice_ce", partial + slope, (a, to) -> {
            MemorySegment sums = a.scratch().asSlice(0, partial);
            MemorySegment slopes = a.scratch().asSlice(partial);
            to.add("dice_sums", "", new Grid((int) splits, (int) samples, 1), a.of(n.in(0)), a.of(n.in(1)), sums,
                    space, c);
            to.add("dice_finish", "", ONE_BLOCK, sums, splits, op.smooth(), op.includeBackground() ? 1 : 0,
                    a.of(n.out(0)), slopes, samples, c);
            to.add("dice_gradient", "", Grid.over(samples * space, d), a.of(n.in(0)), a.of(n.in(1)), slopes,
                    a.of(n.out(1)), samples, space, c);
        });
    }

    private static long bytes(List<Float> values) { return (long) values.size() * Float.BYTES; }

    /** Constants in scratch memory, written there in every step; null if there are none. */
    private static MemorySegment constants(Launches to, Addresses a, List<Float> values) {
        if (values.isEmpty()) return MemorySegment.NULL;
        MemorySegment at = a.scratch();
        for (int i = 0; i < values.size(); i++)
            to.add("fill", "_f32", ONE_BLOCK, at.asSlice((long) i * Float.BYTES, Float.BYTES), values.get(i), 1L);
        return at;
    }
}
