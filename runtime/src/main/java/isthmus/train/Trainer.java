package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Program;
import isthmus.graph.Workspace;
import isthmus.nn.Model;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/**
 * Trains one model on one device: owns the weights, their gradients, the optimizer's moments and the compiled step. A step
 * allocates nothing on the Java heap. Used by one thread, which calls {@link Backend#enter} first.
 *
 * <p>
 * With half precision the loss is scaled. A step whose gradients overflow is as if it had not been: weights, running
 * statistics, moments and the count of steps stay as they are, only the scale falls.
 */
public final class Trainer implements AutoCloseable {
    /**
     * What a training run is, as data.
     *
     * @param batch samples of one forward and backward pass; batch normalisation sees these
     * @param accumulate batches whose mean gradient makes one step. For a network without batch normalisation and
     *        dropout that is the step of a batch so many times larger; where labels are unknown, each batch's mean over
     *        its known ones weighs the same
     * @param seed of dropout
     */
    public record Options(Loss loss, UpdateRule update, Precision precision, int batch, int accumulate, long seed) {
        public Options {
            positive("batch", batch);
            positive("accumulate", accumulate);
        }

        private static void positive(String what, int n) {
            if (n < 1) throw new IllegalArgumentException("training: " + what + " is " + n + "; it is 1 or more");
        }

        /** An optimizer alone, without schedule, clipping or accumulation; seed 1. */
        public static Options of(Loss loss, OptimizerSpec optimizer, Precision precision, int batch) {
            return new Options(loss, UpdateRule.of(optimizer), precision, batch, 1, 1);
        }

        /** The same with another update. */
        public Options with(UpdateRule other) {
            return new Options(loss, other, precision, batch, accumulate, seed);
        }

        /** The same in another precision. */
        public Options with(Precision other) {
            return new Options(loss, update, other, batch, accumulate, seed);
        }

        /** The same with other numbers of samples a batch and batches a step. */
        public Options withBatch(int samples, int batches) {
            return new Options(loss, update, precision, samples, batches, seed);
        }
    }

    /** Told after every batch. */
    public interface Progress {
        /**
         * One batch is done.
         *
         * @param batch batches done in this pass
         * @param batches batches of this pass
         * @param samples samples seen in this pass
         * @param loss gives the mean loss of this pass so far; to ask makes a device of its own wait, so ask now and then
         */
        void step(int batch, int batches, long samples, DoubleSupplier loss);

        /** Asked after every step: whether this pass ends here. */
        default boolean enough() { return false; }
    }

    private final Arena arena = Arena.ofShared();
    private final Model model;
    private final Options options;
    private final Backend backend;
    private final Workspace workspace;
    private final WeightBuffer weights;
    private final WeightBuffer gradients;
    private final GradientSum sum;
    private final MicroStep full;
    private MicroStep partial;
    private final Optimizer optimizer;
    private final WeightAverage average;
    private final LossScaler scaler;
    private final StatisticsGuard guard;
    private final Optional<DeviceSteps> device;
    private boolean bad;
    private long step;
    private long totalSteps = Long.MAX_VALUE;

    /** Compiles the training step; the weights are zero until set or {@linkplain Model#initialize initialised}. */
    public Trainer(Model model, Options options, Backend backend) {
        this(model, options, backend, DeviceSteps.ROWS);
    }

    /** With so many steps that a device makes alone without being told the next learning rates; 0: the host drives each. */
    Trainer(Model model, Options options, Backend backend, int deviceSteps) {
        this.model = model;
        this.options = options;
        this.backend = backend;
        WeightTable table = model.table();
        if (table.range(Region.TRAINABLE).length() == 0)
            throw new IllegalArgumentException("training " + model.name() + ": every parameter is frozen");
        boolean half = options.precision == Precision.F16;
        this.workspace = new Workspace(backend);
        try {
            this.weights = new WeightBuffer(table, backend.allocate(table.bytes(), arena));
            this.gradients = new WeightBuffer(table, backend.allocate(table.bytes(), arena));
            this.sum = options.accumulate == 1 ? null : new GradientSum(gradients, backend, arena);
            this.optimizer = new Optimizer(options.update.optimizer(), options.update.groups(), weights,
                    sum == null ? gradients : sum.buffer(), backend, arena);
            this.average = options.update.ema().isOn()
                    ? new WeightAverage(options.update.ema(), weights, backend, arena)
                    : null;
            this.scaler = half ? new LossScaler(options.update.lossScaling()) : null;
            this.guard = half ? new StatisticsGuard(weights, backend, arena) : null;
            this.full = compile(options.batch);
            this.device = deviceSteps(deviceSteps);
        } catch (RuntimeException e) {
            workspace.close();
            arena.close();
            throw e;
        }
    }

    private Optional<DeviceSteps> deviceSteps(int rows) {
        try {
            return DeviceSteps
                    .plan(options, backend, optimizer, scaler, sum, average, weights, gradients, rows, arena)
                    .flatMap(plan -> backend.deviceUpdate(plan, arena).map(update -> new DeviceSteps(options, backend,
                            optimizer, scaler, average, full, plan, update, rows, arena)));
        } catch (RuntimeException e) {
            full.close();
            throw e;
        }
    }

    private MicroStep compile(int batch) {
        return MicroStep.compile(model, options, batch, backend, weights, gradients, workspace, besides());
    }

    /** Bytes of free memory that are spoken for: what the host has allocated and not written, or the weights' copy of a device. */
    private long besides() {
        if (!backend.hasOwnMemory()) return weightBytes();
        final long bookkeeping = 1 << 20;
        return full != null ? 0 : weights.table().elements() * options.precision.compute().bytes() + bookkeeping;
    }

    /** Bytes that weights, gradients, moments and averages take. */
    public long weightBytes() {
        long copies = 2L + (sum == null ? 0 : 1) + (average == null ? 0 : 1);
        return weights.table().bytes() * copies + optimizer.state().table().bytes();
    }

    /** Least traffic of an {@link #update}, in bytes: weights and moments are read and written, gradients read. */
    public long updateBytes() {
        return optimizer.traffic();
    }

    /** The model's weights, changed by every step; ask again after one. */
    public WeightBuffer weights() {
        backend.toHost(weights.segment());
        return weights;
    }

    /** The weights to measure and to keep: their moving average if there is one, else the weights themselves. */
    public WeightBuffer averaged() {
        return average == null ? weights() : average.average();
    }

    /** The gradients of the last batch, before clipping; half precision's are scaled. */
    public WeightBuffer gradients() {
        backend.toHost(gradients.segment());
        return gradients;
    }

    /** The optimizer's moments; empty for one that has none. */
    WeightBuffer moments() { return optimizer.state(); }

    /** Where a batch's images go: float32, channels-last, or raw; see {@link Model#IMAGE}. */
    public MemorySegment images() {
        return full.images();
    }

    /** Where a batch's labels go. */
    public MemorySegment labels() { return full.labels(); }

    /** The logits of the last full batch, float32, channels-last; see {@link Model#LOGITS}. */
    public MemorySegment logits() {
        return full.program().output(Model.LOGITS);
    }

    /** The loss of the last full batch. */
    public double loss() { return full.value(); }

    /** Memory that an {@link Evaluator} may use as well; what this trainer's inputs and outputs held is lost then. */
    public Workspace workspace() {
        return workspace;
    }

    /** The compiled step. */
    public Program program() { return full.program(); }

    /** The factor on the loss's gradient: 1 but for half precision. */
    public double lossScale() {
        return scaler == null ? 1 : scaler.scale();
    }

    /** L2 norm of the last step's gradient before clipping; NaN if neither clipping nor loss scaling asked for it. */
    public double gradientNorm() {
        return optimizer.norm();
    }

    /** Steps that have changed the weights since the optimizer last forgot. */
    public long optimizerSteps() {
        return optimizer.steps();
    }

    /** Steps that so many batches make. */
    public int steps(int batches) {
        return (batches + options.accumulate - 1) / options.accumulate;
    }

    /**
     * Places this run on the schedule: the next step is number {@code firstStep} of {@code totalSteps}; the optimizer forgets.
     *
     * @param proximal FedProx's mu (Li et al. 2020): the pull towards the weights as they are now; 0 for none
     */
    public void begin(long firstStep, long totalSteps, double proximal) {
        optimizer.reset();
        resume(firstStep, totalSteps, proximal);
    }

    /** As {@link #begin}, but the optimizer keeps its moments and its count of steps. */
    public void resume(long firstStep, long totalSteps, double proximal) {
        this.step = firstStep;
        this.totalSteps = totalSteps;
        optimizer.anchor(proximal);
        if (sum != null) sum.clear();
        if (average != null) average.begin();
    }

    /** Computes loss and gradients of the batch that lies in {@link #images()} and {@link #labels()}. */
    public void forwardBackward() {
        run(full);
    }

    private void run(MicroStep micro) {
        int nth = sum == null ? 0 : sum.batches();
        if (guard != null && nth == 0) guard.note();
        micro.run(step * options.accumulate + nth, (float) lossScale());
        if (sum != null) sum.add();
        bad |= !Double.isFinite(micro.value());
    }

    /**
     * Clips the gradients (the mean of all batches since the last update, if they are accumulated) and changes the
     * weights; {@code factor} scales the learning rate.
     *
     * @return whether the weights have changed; only overflows of half precision leave them
     */
    public boolean update(double factor) {
        double times = lossScale() * (sum == null ? 1 : Math.max(1, sum.batches()));
        boolean finite = (scaler == null || !bad)
                && optimizer.step(factor, options.update.clip().at(step, totalSteps), times, scaler != null);
        bad = false;
        if (sum != null) sum.clear();
        if (!finite) {
            if (scaler == null) throw diverged("a gradient is infinite or no number", step);
            guard.restore();
            scaler.bad(step);
            return false;
        }
        step++;
        if (scaler != null) scaler.good();
        if (average != null) average.step();
        return true;
    }

    static TrainingException diverged(String what, long step) {
        return new TrainingException(String.format(Locale.ROOT,
                "%s at step %d: training has diverged; lower the learning rate or set a clip norm", what, step));
    }

    /**
     * One pass over the data. A device that can makes each step alone, as recorded graphs, one a batch; else the host drives
     * each step, as on the CPU.
     *
     * @return the mean loss of all samples; of half precision, of those whose loss was finite
     */
    public double pass(BatchSource source, Progress progress) {
        compilePartial(source);
        if (device.isEmpty() || (sum != null && sum.batches() > 0)) return hostDriven(source, progress);
        try {
            return device.get().pass(source, full, partial, step, totalSteps, progress);
        } finally {
            step = device.get().step();
        }
    }

    /** The mean loss so far, by samples. */
    private static final class Mean implements DoubleSupplier {
        private double total;
        private long counted;
        private double last = Double.NaN;

        void add(double loss, int samples) {
            last = loss;
            if (!Double.isFinite(loss)) return;
            total += loss * samples;
            counted += samples;
        }

        @Override
        public double getAsDouble() { return counted == 0 ? last : total / counted; }
    }

    private double hostDriven(BatchSource source, Progress progress) {
        var mean = new Mean();
        long samples = 0;
        int batches = source.batches();
        for (int i = 1; i <= batches; i++) {
            MicroStep micro = next(source);
            run(micro);
            samples += micro.batch();
            double loss = micro.value();
            if (!Double.isFinite(loss) && scaler == null) throw diverged("the loss is " + loss, step);
            mean.add(loss, micro.batch());
            boolean last = i == batches;
            boolean complete = last || sum == null || sum.batches() == options.accumulate;
            if (complete) update(options.update.schedule().factor(step, totalSteps));
            progress.step(i, batches, samples, mean);
            if (complete && progress.enough()) break;
        }
        return mean.counted == 0 ? Double.NaN : mean.getAsDouble();
    }

    private void compilePartial(BatchSource source) {
        if (source.batchSize() != options.batch)
            throw new IllegalArgumentException(
                    "training takes batches of " + options.batch + ", the data come in " + source.batchSize());
        int left = source.lastBatch();
        if (left == options.batch || (partial != null && partial.batch() == left)) return;
        if (partial != null) partial.close();
        partial = compile(left);
    }

    /** The next batch, in the inputs of the step of its size. */
    private MicroStep next(BatchSource source) {
        int n = source.next(full.images(), full.labels());
        if (n == options.batch) return full;
        if (partial == null || n != partial.batch())
            throw new IllegalStateException("a batch of " + n + " came where " + options.batch + " were announced");
        partial.take(full.images(), full.labels());
        return partial;
    }

    /** Writes the optimizer's moments and count, and the loss's scale, with a few words about them. */
    public void saveOptimizer(Path file, Map<String, String> about) throws IOException {
        OptimizerFile.write(file, optimizer, scaler, about);
    }

    /**
     * Takes over what {@link #saveOptimizer} wrote; {@link #resume} goes on with it.
     *
     * @return what was said about it
     */
    public Map<String, String> loadOptimizer(Path file) throws IOException {
        return OptimizerFile.read(file, optimizer, scaler);
    }

    @Override
    public void close() {
        device.ifPresent(DeviceSteps::close);
        if (partial != null) partial.close();
        full.close();
        workspace.close();
        arena.close();
    }
}
