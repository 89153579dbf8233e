package isthmus.backend.cuda;

import isthmus.backend.DeviceUpdate;
import isthmus.backend.StepScalars;
import isthmus.tensor.Region;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** A step's update by our own kernels, which leave each other in device memory what they have decided. */
final class CudaUpdate implements DeviceUpdate {
    private static final Grid ONE = new Grid(1, 1, 1);

    private final Device device;
    private final Twins twins;
    private final Plan plan;
    private final Arena arena;
    private final ComputeCopy copy;
    private final WeightTable.Range trainable;
    private final MemorySegment state;
    /** Of one batch, and what updates the weights: the same, or the sum over batches. */
    private final MemorySegment gradients;
    private final MemorySegment updating;
    private final MemorySegment statistics;
    private final long noted;
    private final Runnable decision;
    private final Runnable update;
    private final Pace pace;

    CudaUpdate(Device device, Twins twins, Plan plan, Arena arena) {
        this.device = device;
        this.twins = twins;
        this.plan = plan;
        this.arena = arena;
        WeightTable table = plan.weights().table();
        this.copy = twins.copy(plan.weights(), plan.compute());
        this.trainable = table.range(Region.TRAINABLE);
        this.state = twins.device(plan.state().segment());
        this.gradients = twins.device(plan.gradients().range(trainable));
        this.updating = plan.sum().map(s -> twins.device(s.gradients().range(trainable))).orElse(gradients);
        this.statistics = twins.device(plan.weights().range(table.range(Region.STATISTICS)));
        this.noted = device.allocate(statistics.byteSize(), arena);
        Launches deciding = new Launches(device, arena);
        decide(deciding);
        this.decision = all(deciding);
        Launches updates = new Launches(device, arena);
        optimizer(updates);
        undo(updates);
        plan.average().ifPresent(a -> average(updates, a));
        this.update = all(updates);
        this.pace = new Pace(device, arena);
    }

    private static Runnable all(Launches list) {
        Runnable[] calls = list.calls();
        return () -> {
            for (Runnable call : calls)
                call.run();
        };
    }

    /** Norm of the gradient, if anything asks for it, and what becomes of the step. */
    private void decide(Launches to) {
        boolean scaled = plan.scaling().isPresent();
        Grid grid = Grid.over(trainable.length(), device);
        long parts = scaled || plan.clips() ? grid.x() : 0;
        MemorySegment partial = MemorySegment.ofAddress(device.allocate(parts * Double.BYTES, arena));
        if (parts > 0) to.add("squares", "", grid, updating, trainable.length(), partial);
        Scaling s = plan.scaling().orElse(new Scaling(1, 1, Integer.MAX_VALUE, 0));
        boolean adam = plan.method() instanceof Method.Adam;
        double beta1 = adam ? ((Method.Adam) plan.method()).beta1() : 0;
        double beta2 = adam ? ((Method.Adam) plan.method()).beta2() : 0;
        to.add("step_decide", "", ONE, state, twins.device(plan.course()), partial, parts, scaled ? 1L : 0L,
                s.growth(), s.backoff(), s.least(), (long) s.growthInterval(), beta1, beta2);
    }

    private void optimizer(Launches to) {
        List<Chunks.Chunk> list = new ArrayList<>();
        for (Stretch s : plan.stretches())
            list.addAll(Chunks.of(plan.weights().table(), trainable.offset() + s.offset(), s.length(),
                    trainable.offset(), copy::place, s.learningRate(), s.weightDecay()));
        MemorySegment chunks = Chunks.onDevice(list, device, arena);
        Grid grid = new Grid(list.size(), 1, 1);
        MemorySegment p = twins.device(plan.weights().range(trainable));
        MemorySegment m = twins.device(plan.moments());
        long n = trainable.length();
        String suffix = plan.moments().byteSize() / (n * Float.BYTES) + copy.suffix();
        switch (plan.method()) {
            case Method.Sgd s -> to.add("sgd_step", suffix, grid, state, chunks, p, updating, m, n, copy.base(),
                    s.momentum(), s.nesterov() ? 1 : 0);
            case Method.Adam a -> to.add("adam_step", suffix, grid, state, chunks, p, updating, m, n, copy.base(),
                    a.beta1(), a.beta2(), a.epsilon(), a.decoupled() ? 1 : 0);
        }
    }

    /** Running statistics, which the forward pass moves before anyone knows whether the step counts. */
    private void undo(Launches to) {
        long n = statistics.byteSize() / Float.BYTES;
        if (n > 0)
            to.add("step_undo", "", Grid.over(n, device), state, MemorySegment.ofAddress(noted), statistics, n);
    }

    private void average(Launches to, Average a) {
        WeightTable.Range range = plan.weights().table().exchanged();
        to.add("step_average", "", Grid.over(range.length(), device), state, twins.device(a.weights().range(range)),
                twins.device(plan.weights().range(range)), range.length(), a.decay(), a.warmup() ? 1 : 0);
    }

    @Override
    public Calls of(StepScalars scalars, MemorySegment loss, int samples, boolean first, boolean last,
            MemorySegment anchor) {
        long n = trainable.length();
        Launches before = new Launches(device, arena);
        before.add("step_begin", "", ONE, state, twins.device(scalars.segment()),
                (long) plan.sum().map(Sum::batches).orElse(1));
        if (first && statistics.byteSize() > 0)
            before.add(() -> device.driver.copyOnDevice(noted,
                    statistics.address(), statistics.byteSize(), device.stream));
        Launches after = new Launches(device, arena);
        after.add("step_loss", "", ONE, state, twins.device(loss), (long) samples,
                plan.scaling().isPresent() ? 1L : 0L);
        if (plan.sum().isPresent() && first)
            after.add(() -> device.driver.copyOnDevice(updating.address(),
                    gradients.address(), n * Float.BYTES, device.stream));
        if (plan.sum().isPresent() && !first)
            after.add("axpy", "", Grid.over(n, device), 1f, gradients, updating, n);
        if (last && anchor.address() != 0)
            after.add("step_proximal", "", Grid.over(n, device), state, updating,
                    twins.device(plan.weights().range(trainable)), twins.device(anchor), n);
        if (last) after.add(decision).add(update);
        return new Calls(all(before), all(after));
    }

    @Override
    public void toDevice() {
        twins.toDevice(plan.weights().segment(), copy);
        twins.toDevice(plan.gradients().segment());
        twins.toDevice(plan.moments());
        if (plan.sum().isPresent()) twins.toDevice(plan.sum().get().gradients().segment());
        if (plan.average().isPresent()) twins.toDevice(plan.average().get().weights().segment());
    }

    @Override
    public void pace() { pace.step(); }
}
