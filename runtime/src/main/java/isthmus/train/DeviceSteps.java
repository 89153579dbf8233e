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

    /** Training with batches of one size, forward to update, recorded and replayed. */
    private final class Recorded implements AutoCloseable {
        final MicroStep micro;
        final List<MemorySegment> inputs;
        final MemorySegment anchor = optimizer.anchor();
        /** By whether the batch is the first of a step, and the last. */
        private final Backend.Repeated[] calls = new Backend.Repeated[4];

        Recorded(MicroStep micro) {
            this.micro = micro;
            this.inputs = List.of(micro.images(), micro.labels());
            // The seed; the rest of the scalars is written on the device.
            backend.upload(micro.program().scalars().segment());
        }

        boolean serves(MicroStep other) {
            return micro.equals(other) && anchor.address() == optimizer.anchor().address();
        }

        void run(boolean first, boolean last) {
            int which = (first ? 1 : 0) + (last ? 2 : 0);
            if (calls[which] == null) calls[which] = record(first, last);
            calls[which].run();
        }

        private Backend.Repeated record(boolean first, boolean last) {
            Program program = micro.program();
            DeviceUpdate.Calls around = update.of(program.scalars(), micro.loss(), micro.batch(), first, last, anchor);
            return backend.repeatable(() -> {
                around.before().run();
                program.enqueue();
                around.after().run();
            });
        }

        @Override
        public void close() {
            for (Backend.Repeated c : calls)
                if (c != null) c.close();
        }
    }

    private final Trainer.Options options;
    private final Backend backend;
    private final Optimizer optimizer;
    private final LossScaler scaler;
    private final WeightAverage average;
    private final StepState state;
    private final MemorySegment course;
    private final DeviceUpdate update;
    private final Feed feed;
    private Recorded full;
    private Recorded partial;
    private final int rows;
    private final DoubleSupplier mean = this::mean;
    private long totalSteps;

    /**
     * For compiled steps whose largest is {@code micro}.
     *
     * @param plan of the update; its state and course are the backend's
     * @param scaler null but for half precision
     * @param average null where none is kept
     * @param rows steps of the course
     */
    DeviceSteps(Trainer.Options options, Backend backend, Optimizer optimizer, LossScaler scaler, WeightAverage average,
            MicroStep micro, DeviceUpdate.Plan plan, DeviceUpdate update, int rows, Arena arena) {
        this.options = options;
        this.backend = backend;
        this.optimizer = optimizer;
        this.scaler = scaler;
        this.average = average;
        this.state = plan.state();
        this.course = plan.course();
        this.update = update;
        this.rows = rows;
        this.feed = backend.feed(new long[]{micro.images().byteSize(), micro.labels().byteSize()}, arena).orElseThrow();
    }

    /** What the device is told of the update, if it takes it. */
    static Optional<DeviceUpdate.Plan> plan(Trainer.Options options, Backend backend, Optimizer optimizer,
            LossScaler scaler, GradientSum sum, WeightAverage average, WeightBuffer weights, WeightBuffer gradients,
            int rows, Arena arena) {
        if (!backend.hasOwnMemory() || rows == 0) return Optional.empty();
        return Optional.of(new DeviceUpdate.Plan(weights, gradients,
                Optional.ofNullable(sum).map(s -> new DeviceUpdate.Sum(s.buffer(), options.accumulate())),
                Optional.ofNullable(average).map(WeightAverage::onDevice), options.precision().compute(),
                optimizer.moments(), optimizer.stretches(), optimizer.method(),
                Optional.ofNullable(scaler).map(LossScaler::onDevice), options.update().clip().isOn(),
                new StepState(backend.allocate(StepState.BYTES, arena)),
                backend.allocate(2L * rows * Double.BYTES, arena)));
    }

    /** One pass, as {@link Trainer#pass}; the first step has this number. */
    double pass(BatchSource source, MicroStep whole, MicroStep rest, long firstStep, long ofSteps,
            Trainer.Progress progress) {
        totalSteps = ofSteps;
        full = recorded(full, whole);
        if (rest != null) partial = recorded(partial, rest);
        state.begin(firstStep, optimizer.steps(), scaler == null ? 0 : scaler.goodSteps(),
                scaler == null ? 1 : scaler.scale(), average == null ? 0 : average.steps(), optimizer.proximal());
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
        int summed = 0;
        int steps = 0;
        Recorded next = next(source);
        for (int i = 1; i <= batches; i++) {
            boolean complete = i == batches || summed + 1 == options.accumulate();
            if (!source.stays()) feed.arrive(next.inputs);
            update.toDevice();
            next.run(summed == 0, complete);
            update.pace();
            summed = complete ? 0 : summed + 1;
            samples += next.micro.batch();
            progress.step(i, batches, samples, mean);
            if (complete && (progress.enough() || i == batches)) return;
            if (complete && ++steps % rows == 0) turn();
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
        if (old != null && old.serves(micro)) return old;
        if (old != null) old.close();
        return new Recorded(micro);
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
        if (average != null) average.resume(state.averaged());
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
        if (partial != null) partial.close();
        if (full != null) full.close();
    }
}
