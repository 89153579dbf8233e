package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.bindings.kernels.KernelStructs;
import isthmus.bindings.kernels.LossKernels;
import isthmus.op.BceWithLogits;
import isthmus.op.DetectionLoss;
import isthmus.op.DiceCrossEntropy;
import isthmus.op.Focal;
import isthmus.op.MapLayout;
import isthmus.op.Node;
import isthmus.op.SmoothL1;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Losses by our own kernels, each with its gradient in one call. */
final class LossLowering {
    private LossLowering() {}

    static Kernel crossEntropy(Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        return new OwnKernel("cross_entropy", (a, arena) -> {
            Loss at = new Loss(n, a);
            return () -> LossKernels.crossEntropy(at.logits, at.labels, at.loss, at.gradient, x.elements() / x.dim(1),
                    x.dim(1));
        });
    }

    static Kernel bceWithLogits(Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        List<Float> weights = ((BceWithLogits) n.op()).positiveWeights();
        return new OwnKernel("bce_with_logits", (a, arena) -> {
            Loss at = new Loss(n, a);
            MemorySegment w = floats(arena, weights);
            return () -> LossKernels.bceWithLogits(at.logits, at.labels, w, at.loss, at.gradient, x.dim(0), x.dim(1));
        });
    }

    static Kernel focal(Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        Focal op = (Focal) n.op();
        return new OwnKernel("focal", (a, arena) -> {
            Loss at = new Loss(n, a);
            MemorySegment w = floats(arena, op.positiveWeights());
            return () -> LossKernels.focal(at.logits, at.labels, w, op.gamma(), op.alpha(), at.loss, at.gradient,
                    x.dim(0), x.dim(1));
        });
    }

    static Kernel diceCrossEntropy(Node n, Function<Value, DType> types) {
        Shape x = n.in(0).shape();
        DiceCrossEntropy op = (DiceCrossEntropy) n.op();
        int background = op.includeBackground() ? 1 : 0;
        return new OwnKernel("dice_ce", (a, arena) -> {
            Loss at = new Loss(n, a);
            return () -> LossKernels.diceCe(at.logits, at.labels, op.smooth(), background, at.loss, at.gradient,
                    x.dim(0), x.elementsFrom(2), x.dim(1));
        });
    }

    static Kernel smoothL1(Node n, Function<Value, DType> types) {
        long size = n.in(0).shape().elements();
        float beta = ((SmoothL1) n.op()).beta();
        return new OwnKernel("smooth_l1", (a, arena) -> {
            Loss at = new Loss(n, a);
            return () -> LossKernels.smoothL1(at.logits, at.labels, beta, at.loss, at.gradient, size);
        });
    }

    static Kernel detection(Node n, Function<Value, DType> types) {
        DetectionLoss op = (DetectionLoss) n.op();
        MapLayout layout = op.layout();
        DetectionLoss.Sampling sampling = op.sampling();
        long[] positions = IntStream.range(0, layout.levels().size()).mapToLong(layout::positions).toArray();
        return new OwnKernel("detection_loss", (a, arena) -> {
            Loss at = new Loss(n, a);
            MemorySegment d = arena.allocate(KernelStructs.DETECTION_BYTES, Long.BYTES);
            KernelStructs.putDetection(d, n.in(0).shape().dim(0), layout.anchors(), layout.classes(), layout.codes(),
                    positions, op.capacity(), sampling.samples(), sampling.leastNegatives(),
                    sampling.positiveFraction(), sampling.pool(), op.beta(), op.classWeight(), op.boxWeight());
            MemorySegment state = a.scalars().segment();
            return () -> LossKernels.detectionLoss(d, at.logits, at.labels, state, at.loss, at.gradient);
        });
    }

    /** Constants in native memory; NULL if there are none. */
    private static MemorySegment floats(Arena arena, List<Float> values) {
        if (values.isEmpty()) return MemorySegment.NULL;
        MemorySegment to = arena.allocate(ValueLayout.JAVA_FLOAT, values.size());
        for (int i = 0; i < values.size(); i++)
            to.setAtIndex(ValueLayout.JAVA_FLOAT, i, values.get(i));
        return to;
    }

    private record Loss(MemorySegment logits, MemorySegment labels, MemorySegment loss, MemorySegment gradient) {
        Loss(Node n, Addresses a) { this(a.of(n.in(0)), a.of(n.in(1)), a.of(n.out(0)), a.of(n.out(1))); }
    }
}
