package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.DeviceUpdate;
import isthmus.backend.Feed;
import isthmus.backend.StepState;
import isthmus.graph.Program;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/**
 * Passes over data on a device that makes whole steps alone: the host writes batches, asks for steps, and reads only when
 * someone wants to know the loss. Between passes the host's own counts are the truth; a pass takes them to the device and back.
 */
final class DeviceSteps implements AutoCloseable {
    /** Steps whose learning rates and clip norms the device is told at once; after so many the host looks where it is. */
    static final int ROWS = 4096;

    /** A training step of one batch size, forward to update, that is recorded and replayed. */
    private record Recorded(MicroStep micro, List<MemorySegment> inputs, Backend.Repeated calls) {}

    private final Trainer.Options options;
    private final Backend backend;
    private final Optimizer optimizer;
    private final LossScaler scaler;
    private final StepState state;
    private final MemorySegment course;
    private final DeviceUpdate update;
    private final Feed feed;
    private Recorded full;
    private Recorded partial;
    private final int rows;
    private final DoubleSupplier mean = this::mean;
    private long totalSteps;

    private DeviceSteps(Trainer.Options options, Backend backend, Optimizer optimizer, LossScaler scaler,
            StepState state, MemorySegment course, DeviceUpdate update, Feed feed, int rows) {
        this.rows = rows;
        this.options = options;
        this.backend = backend;
        this.optimizer = optimizer;
        this.scaler = scaler;
        this.state = state;
        this.course = course;
        this.update = update;
        this.feed = feed;
    }

    /** For a compiled step, if the backend can; {@code scaler} is null but for half precision. */
    static Optional<DeviceSteps> of(Trainer.Options options, Backend backend, Optimizer optimizer, LossScaler scaler,
            MicroStep micro, WeightBuffer weights, WeightBuffer gradients, int rows, Arena arena) {
        if (!backend.hasOwnMemory()) return Optional.empty();
        var state = new StepState(backend.allocate(StepState.BYTES, arena));
        MemorySegment course = backend.allocate(2L * rows * Double.BYTES, arena);
        UpdateRule rule = options.update();
        var plan = new DeviceUpdate.Plan(weights, gradients, options.precision().compute(), optimizer.moments(),
                optimizer.stretches(), optimizer.method(),
                Optional.ofNullable(scaler).map(s -> s.onDevice()), rule.clip().isOn(), state, course);
        Optional<DeviceUpdate> update = backend.deviceUpdate(plan, arena);
        if (update.isEmpty()) return Optional.empty();
        long[] bytes = {micro.images().byteSize(), micro.labels().byteSize()};
        Feed feed = backend.feed(bytes, arena).orElseThrow();
        return Optional.of(
                new DeviceSteps(options, backend, optimizer, scaler, state, course, update.get(), feed, rows));
    }

    /** One pass, as {@link Trainer#pass}; the first step has this number. */
    double pass(BatchSource source, MicroStep whole, MicroStep rest, long firstStep, long ofSteps,
            Trainer.Progress progress) {
        totalSteps = ofSteps;
        full = recorded(full, whole);
        if (rest != null) partial = recorded(partial, rest);
        state.begin(firstStep, firstStep, optimizer.steps(), scaler == null ? 0 : scaler.goodSteps(),
                scaler == null ? 1 : scaler.scale());
        tell();
        if (source.stays()) {
            backend.upload(whole.images());
            backend.upload(whole.labels());
        }
        try {
            run(source, progress);
        } catch (RuntimeException e) {
            try {
                read();
            } catch (RuntimeException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
        double last = mean();
        return Double.isFinite(last) ? last : Double.NaN;
    }

    private void run(BatchSource source, Trainer.Progress progress) {
        int batches = source.batches();
        long samples = 0;
        Recorded next = next(source);
        for (int i = 1; i <= batches; i++) {
            if (!source.stays()) feed.arrive(next.inputs);
            update.toDevice();
            next.calls.run();
            update.pace();
            samples += next.micro.batch();
            progress.step(i, batches, samples, mean);
            if (progress.enough() || i == batches) return;
            if (i % rows == 0) turn();
            next = next(source);
        }
    }

    /** Writes the next batch and sends it on its way. */
    private Recorded next(BatchSource source) {
        if (source.stays()) {
            int n = source.next(full.micro.images(), full.micro.labels());
            return of(n);
        }
        int n = source.next(feed.slot(0), feed.slot(1));
        Recorded to = of(n);
        feed.send();
        return to;
    }

    private Recorded of(int n) {
        if (n == full.micro.batch()) return full;
        if (partial == null || n != partial.micro.batch())
            throw new IllegalStateException(
                    "a batch of " + n + " came where " + full.micro.batch() + " were announced");
        return partial;
    }

    private Recorded recorded(Recorded old, MicroStep micro) {
        if (old != null && old.micro.equals(micro)) return old;
        if (old != null) old.calls.close();
        Program program = micro.program();
        // The seed; the rest of the scalars is written on the device.
        backend.upload(program.scalars().segment());
        DeviceUpdate.Calls around = update.of(program.scalars(), micro.loss(), micro.batch());
        return new Recorded(micro, List.of(micro.images(), micro.labels()), backend.repeatable(() -> {
            around.before().run();
            program.enqueue();
            around.after().run();
        }));
    }

    /** Tells the device what changes from the next step on, and where it is. */
    private void tell() {
        long step = state.step();
        for (int i = 0; i < rows; i++) {
            course.setAtIndex(ValueLayout.JAVA_DOUBLE, 2L * i,
                    options.update().schedule().factor(step + i, totalSteps));
            course.setAtIndex(ValueLayout.JAVA_DOUBLE, 2L * i + 1, options.update().clip().at(step + i, totalSteps));
        }
        backend.upload(course);
        backend.upload(state.segment());
    }

    private void turn() {
        read();
        state.turn();
        tell();
    }

    /** The mean loss of this pass so far; waits for the device. */
    private double mean() {
        read();
        return state.samples() == 0 ? state.loss() : state.lossSum() / state.samples();
    }

    /** Takes over where the device is; throws if training has diverged. */
    private void read() {
        backend.download(state.segment());
        optimizer.resume(state.updates(), state.norm());
        if (scaler != null) scaler.resume((float) state.scale(), (int) state.good());
        if (state.stop() == StepState.GOES_ON) return;
        if (state.stop() == StepState.SCALE_TOO_SMALL) throw scaler.tooSmall(state.step());
        throw Trainer.diverged(state.stop() == StepState.LOSS_NOT_FINITE
                ? "the loss is " + state.loss()
                : "a gradient is infinite or no number", state.step());
    }

    /** The number of the next step, as of the last look. */
    long step() { return state.step(); }

    @Override
    public void close() {
        if (partial != null) partial.calls.close();
        if (full != null) full.calls.close();
    }
}
