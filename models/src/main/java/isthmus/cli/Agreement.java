package isthmus.cli;

import isthmus.agent.OnnxRun;
import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.nn.Seeds;
import isthmus.onnx.OnnxExporter;
import isthmus.onnx.OnnxFacts;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Evaluator;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Runs an exported file and our own engine on the same seeded pictures or volumes, alone and in a batch, and compares every
 * number that comes out.
 */
final class Agreement implements AutoCloseable {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

    /**
     * What was found.
     *
     * @param images how many were compared
     * @param maxLogitDiff largest difference of a logit
     * @param maxRelativeLogitDiff the same as a share of the logit where that is beyond 1
     * @param maxProbabilityDiff largest difference of a probability; of a detector, which has none, of a logit's sigmoid
     * @param changedDecisions share of outputs that cross a half, or of positions where another class comes first
     * @param largest largest logit of all, so that a difference can be judged
     */
    record Figures(int images, double maxLogitDiff, double maxRelativeLogitDiff, double maxProbabilityDiff,
            double changedDecisions, double largest) {
        /** Whether both sides are the same but for rounding in float32. */
        boolean agrees(double tolerance) {
            return maxProbabilityDiff <= tolerance && maxRelativeLogitDiff <= tolerance;
        }
    }

    private final Model model;
    private final OnnxFacts.Decision decision;
    private final int images;
    private final int threads;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment pictures;
    private final MemorySegment expected;

    /** Computes what our engine gives for so many pictures in float32. */
    Agreement(Model model, WeightBuffer weights, OnnxFacts.Decision decision, int images, int threads) {
        this.model = model;
        this.decision = decision;
        this.images = images;
        this.threads = threads;
        this.pictures = arena.allocate(images * model.image().elements() * Float.BYTES, 64);
        this.expected = arena.allocate(images * model.output().elements() * Float.BYTES, 64);
        fill();
        engine(weights);
    }

    /**
     * Normal noise of mean 0 and a deviation near 1 that differs from picture to picture, in the logical order: what
     * preprocessing gives. Inputs far from that can make a network's sums grow until no two float32 engines agree.
     */
    private void fill() {
        long each = model.image().elements();
        for (int n = 0; n < images; n++) {
            long key = Seeds.key(n, "picture");
            double deviation = 0.8 + 0.4 * n / images;
            for (long i = 0; i < each; i++)
                pictures.setAtIndex(F32, n * each + i, (float) (deviation * Seeds.normal(key, i)));
        }
    }

    /** One picture at a time: volumes are large. */
    private void engine(WeightBuffer weights) {
        Shape image = model.image();
        Shape output = model.output();
        try (Backend backend = Backends.cpu(threads);
                Evaluator evaluator = new Evaluator(model, weights, 1, Precision.FP32, backend)) {
            backend.enter();
            for (int n = 0; n < images; n++) {
                toChannelsLast(slice(pictures, n, image), evaluator.images(), image);
                evaluator.run();
                toChannelsFirst(evaluator.logits(), slice(expected, n, output), output);
            }
        }
    }

    private static MemorySegment slice(MemorySegment all, long n, Shape each) {
        return all.asSlice(n * each.elements() * Float.BYTES, each.elements() * Float.BYTES);
    }

    private static void toChannelsLast(MemorySegment from, MemorySegment to, Shape shape) {
        long space = shape.elementsFrom(1);
        for (int c = 0; c < shape.dim(0); c++)
            for (long s = 0; s < space; s++)
                to.setAtIndex(F32, s * shape.dim(0) + c, from.getAtIndex(F32, c * space + s));
    }

    private static void toChannelsFirst(MemorySegment from, MemorySegment to, Shape shape) {
        long space = shape.elementsFrom(1);
        for (int c = 0; c < shape.dim(0); c++)
            for (long s = 0; s < space; s++)
                to.setAtIndex(F32, c * space + s, from.getAtIndex(F32, s * shape.dim(0) + c));
    }

    /** Runs a file on the same pictures, the first alone and then all together, and compares. */
    Figures with(Path onnx) {
        try (OnnxRun run = OnnxRun.open(onnx, threads); Arena room = Arena.ofShared()) {
            MemorySegment logits = room.allocate(expected.byteSize(), 64);
            Comparison comparison = new Comparison(model.output(), decision);
            for (int count = 1; count <= images; count += Math.max(1, images - 1)) {
                Map<String, OnnxRun.Room> outputs = new LinkedHashMap<>();
                outputs.put(Model.LOGITS, new OnnxRun.Room(logits, shape(count, model.output())));
                MemorySegment sure = run.outputs().contains(OnnxExporter.PROBABILITIES)
                        ? room.allocate(expected.byteSize(), 64)
                        : null;
                if (sure != null)
                    outputs.put(OnnxExporter.PROBABILITIES,
                            new OnnxRun.Room(sure, shape(count, model.output())));
                run.run(pictures, shape(count, model.image()), outputs);
                for (int n = 0; n < count; n++)
                    comparison.add(slice(expected, n, model.output()), slice(logits, n, model.output()),
                            sure == null ? null : slice(sure, n, model.output()));
            }
            return comparison.figures(images, largest());
        }
    }

    private static long[] shape(int count, Shape each) {
        long[] dims = new long[each.rank() + 1];
        dims[0] = count;
        for (int i = 0; i < each.rank(); i++)
            dims[i + 1] = each.dim(i);
        return dims;
    }

    private double largest() {
        double most = 0;
        for (long i = 0; i < expected.byteSize() / Float.BYTES; i++)
            most = Math.max(most, Math.abs(expected.getAtIndex(F32, i)));
        return most;
    }

    @Override
    public void close() { arena.close(); }
}
