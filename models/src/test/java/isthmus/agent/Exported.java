package isthmus.agent;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.data.Preprocess;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.nn.Model;
import isthmus.nn.Seeds;
import isthmus.onnx.OnnxExporter;
import isthmus.onnx.OnnxFacts;
import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** A graph with seeded weights, written as ONNX and run by the runtime, for comparison. */
final class Exported implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    final WeightBuffer weights;
    final OnnxFacts facts;
    final Path file;

    /** Writes the graph in float32; labels are numbered. */
    Exported(Path file, Graph graph, Preprocess preprocess, OnnxFacts.Decision decision) {
        this(file, graph, preprocess, decision, DType.F32);
    }

    Exported(Path file, Graph graph, Preprocess preprocess, OnnxFacts.Decision decision, DType precision) {
        this.file = file;
        int outputs = graph.outputs().get(Model.LOGITS).shape().dim(1);
        List<String> labels = IntStream.range(0, outputs).mapToObj(i -> "finding " + i).toList();
        this.facts = new OnnxFacts(decision, labels, preprocess.toJson(), Map.of("rounds", "3"), "isthmus", "test");
        this.weights = WeightBuffer.allocate(graph.table(), arena);
        graph.parameters().forEach((name, v) -> {
            float bound = v.shape().rank() > 1 ? (float) Math.sqrt(6.0 / v.shape().elementsFrom(1)) : 0.25f;
            fill(weights.slice(name), name, middle(name), bound);
        });
        try {
            OnnxExporter.write(file, "test", graph, weights, facts, precision);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Factors around a half, so that deep sums stay small; variances around one; all else around zero. */
    private static float middle(String name) {
        if (name.endsWith("running_var")) return 1;
        return name.matches(".*(bn\\d?|downsample\\.1|input)\\.weight") ? 0.5f : 0;
    }

    static void fill(MemorySegment at, String name, float middle, float bound) {
        long key = Seeds.key(17, name);
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++)
            at.setAtIndex(ValueLayout.JAVA_FLOAT, i, middle + (2 * Seeds.uniform(key, i) - 1) * bound);
    }

    /** Noise around a brightness of each picture's own, channels-last, owned by this. */
    MemorySegment pictures(int count, long floatsEach) {
        long bytes = floatsEach * Float.BYTES;
        MemorySegment pictures = arena.allocate(count * bytes, 64);
        for (int i = 0; i < count; i++)
            fill(pictures.asSlice(i * bytes, bytes), "picture " + i, i - 1, 1.5f);
        return pictures;
    }

    /** The runtime's logits for a batch. */
    float[] logits(Graph graph, MemorySegment pictures, Backend backend) {
        try (Program program = Program.compile(graph, backend, Precision.FP32, weights, null)) {
            backend.enter();
            program.input(Model.IMAGE).copyFrom(pictures);
            program.run();
            return program.output(Model.LOGITS).toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Override
    public void close() { arena.close(); }
}
