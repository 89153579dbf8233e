package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Fuse;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.graph.MemoryException;
import isthmus.graph.Program;
import isthmus.nn.Model;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;

/**
 * Trains one model on one device: owns the weights, their gradients, the optimizer's moments and the compiled step. A step
 * allocates nothing on the Java heap. Used by one thread, which calls {@link Backend#enter} first.
 */
public final class Trainer implements AutoCloseable {
    /**
     * What a training run is, as data.
     *
     * @param clipNorm gradients are scaled down to this L2 norm; 0 leaves them
     * @param batch samples a step
     * @param seed of dropout
     */
    public record Options(Loss loss, OptimizerSpec optimizer, Schedule schedule, double clipNorm, Precision precision,
            int batch, long seed) {}

    /** Told after every step. */
    public interface Progress {
        /**
         * One step is done.
         *
         * @param step steps done in this pass
         * @param steps steps of this pass
         * @param samples samples seen in this pass
         * @param loss mean loss of this pass so far
         */
        void step(int step, int steps, long samples, double loss);
    }

    private final Arena arena = Arena.ofShared();
    private final Options options;
    private final WeightBuffer weights;
    private final WeightBuffer gradients;
    private final Program program;
    private final Optimizer optimizer;
    private long step;
    private long totalSteps = Long.MAX_VALUE;

    /** Compiles the training step; the weights are zero until set or {@linkplain Model#initialize initialised}. */
    public Trainer(Model model, Options options, Backend backend) {
        this.options = options;
        this.weights = new WeightBuffer(model.table(), backend.allocate(model.table().bytes(), arena));
        this.gradients = new WeightBuffer(model.table(), backend.allocate(model.table().bytes(), arena));
        try {
            this.optimizer = new Optimizer(options.optimizer, weights, gradients, backend, arena);
            this.program = compile(model, backend);
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
        program.scalars().seed(options.seed);
    }

    /** The step's program, or a refusal that names the largest batch that fits. */
    private Program compile(Model model, Backend backend) {
        long besides = weights.table().bytes() * 2 + optimizer.bytes();
        try {
            return Program.compile(graph(model, options.loss, options.batch), backend, options.precision, weights,
                    gradients, besides);
        } catch (MemoryException e) {
            var limit = new BatchLimit(batch -> besides
                    + Program.arenaBytes(graph(model, options.loss, batch), backend, options.precision), e.free());
            throw limit.refusal("model " + model.name(), options.batch, e.needed());
        }
    }

    private static Graph graph(Model model, Loss loss, int batch) {
        Graph graph = model.graph(batch, true);
        loss.attach(graph, graph.outputs().get(Model.LOGITS));
        graph = Fuse.apply(graph);
        Gradients.append(graph, Loss.LOSS);
        return graph;
    }

    /** The model's weights, changed in place by every step. */
    public WeightBuffer weights() { return weights; }

    /** The gradients of the last step, before clipping. */
    public WeightBuffer gradients() { return gradients; }

    /** Where a batch's images go: float32, channels-last. */
    public MemorySegment images() {
        return program.input(Model.IMAGE);
    }

    /** Where a batch's labels go. */
    public MemorySegment labels() { return program.input(Loss.LABELS); }

    /** The logits of the last step, float32, channels-last; see {@link Model#LOGITS}. */
    public MemorySegment logits() {
        return program.output(Model.LOGITS);
    }

    /** The loss of the last step. */
    public double loss() {
        return program.output(Loss.LOSS).get(ValueLayout.JAVA_FLOAT, 0);
    }

    /** The compiled step. */
    public Program program() { return program; }

    /**
     * Places this run on the schedule: the next step is number {@code firstStep} of {@code totalSteps}; the optimizer forgets.
     *
     * @param proximal FedProx's mu (Li et al. 2020): the pull towards the weights as they are now; 0 for none
     */
    public void begin(long firstStep, long totalSteps, double proximal) {
        this.step = firstStep;
        this.totalSteps = totalSteps;
        optimizer.reset();
        optimizer.anchor(proximal);
    }

    /** Computes loss and gradients of the batch that lies in {@link #images()} and {@link #labels()}. */
    public void forwardBackward() {
        program.scalars().step(step);
        program.run();
    }

    /** Clips the gradients and changes the weights; {@code factor} scales the learning rate. */
    public void update(double factor) {
        optimizer.step(factor, options.clipNorm);
        step++;
    }

    /**
     * One pass over the data.
     *
     * @return the mean loss
     */
    public double pass(BatchSource source, Progress progress) {
        MemorySegment images = images();
        MemorySegment labels = labels();
        double sum = 0;
        int steps = source.batches();
        for (int i = 1; i <= steps; i++) {
            int n = source.next(images, labels);
            if (n != options.batch)
                throw new IllegalStateException("training takes full batches of " + options.batch + ", got " + n);
            forwardBackward();
            double loss = loss();
            if (!Double.isFinite(loss)) {
                throw new TrainingException(
                        String.format(Locale.ROOT, "the loss is %s at step %d: training has diverged; lower the "
                                + "learning rate or set a clip norm", loss, step));
            }
            sum += loss;
            update(options.schedule.factor(step, totalSteps));
            progress.step(i, steps, (long) i * options.batch, sum / i);
        }
        return sum / Math.max(1, steps);
    }

    @Override
    public void close() {
        program.close();
        arena.close();
    }
}
