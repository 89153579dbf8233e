package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.graph.Rewrites;
import isthmus.graph.Workspace;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Runs a model in evaluation mode: running statistics, no dropout. Reads the weight buffer that it was made for, as it is at
 * the time.
 */
public final class Evaluator implements AutoCloseable {
    private final Program program;
    private final int batch;
    private final int classes;
    private final Shape output;

    /** Compiles the forward pass for batches of {@code batch}. */
    public Evaluator(Model model, WeightBuffer weights, int batch, Precision precision, Backend backend) {
        this(model, weights, batch, precision, backend, null);
    }

    /** The same in memory that it shares with programs that run at other times, as a {@link Trainer#workspace} is. */
    public Evaluator(Model model, WeightBuffer weights, int batch, Precision precision, Backend backend,
            Workspace shared) {
        Rewrites rewrites = Rewrites.chosen();
        Graph graph = rewrites.afterGradients(rewrites.beforeGradients(model.graph(batch, false)), backend,
                precision);
        this.program = Program.compile(graph, backend, precision, weights, null, shared, 0);
        this.batch = batch;
        this.classes = model.classes();
        this.output = model.output();
    }

    /** Where a batch's images go: float32, channels-last, or raw; see {@link Model#IMAGE}. */
    public MemorySegment images() {
        return program.input(Model.IMAGE);
    }

    /** The logits of the last run, float32, channels-last; see {@link Model#LOGITS}. */
    public MemorySegment logits() {
        return program.output(Model.LOGITS);
    }

    /** Computes the logits of the batch that lies in {@link #images()}. */
    public void run() { program.run(); }

    /**
     * One pass over the data.
     *
     * @param labels room for a batch's labels
     * @return logits and labels of all samples, row after row
     */
    public Predictions pass(BatchSource source, MemorySegment labels) {
        if (output.rank() != 1)
            throw new IllegalStateException(
                    "evaluation: predictions are rows of [classes]; this model gives " + output);
        int most = source.batches() * batch;
        float[] logits = new float[most * classes];
        float[] truth = new float[most * classes];
        int rows = 0;
        MemorySegment images = images();
        for (int i = 0; i < source.batches(); i++) {
            int n = source.next(images, labels);
            run();
            MemorySegment.copy(logits(), ValueLayout.JAVA_FLOAT, 0, logits, rows * classes, n * classes);
            MemorySegment.copy(labels, ValueLayout.JAVA_FLOAT, 0, truth, rows * classes, n * classes);
            rows += n;
        }
        return new Predictions(rows, classes, java.util.Arrays.copyOf(logits, rows * classes),
                java.util.Arrays.copyOf(truth, rows * classes));
    }

    @Override
    public void close() { program.close(); }
}
