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
    private final Pace pace;

    CudaUpdate(Device device, Twins twins, Plan plan, Arena arena) {
        this.device = device;
        this.twins = twins;
        this.plan = plan;
        this.arena = arena;
        this.copy = twins.copy(plan.weights(), plan.compute());
        this.trainable = plan.weights().table().range(Region.TRAINABLE);
        this.state = twins.device(plan.state().segment());
        this.pace = new Pace(device, arena);
    }

    @Override
    public Calls of(StepScalars scalars, MemorySegment loss, int samples) {
        MemorySegment statistics = twins
                .device(plan.weights().range(plan.weights().table().range(Region.STATISTICS)));
        long bytes = statistics.byteSize();
        long noted = device.allocate(bytes, arena);
        Launches before = new Launches(device, arena);
        before.add("step_begin", "", ONE, state, twins.device(scalars.segment()));
        if (bytes > 0)
            before.add(() -> device.driver.copyOnDevice(noted, statistics.address(), bytes, device.stream));
        Launches after = new Launches(device, arena);
        decide(after, twins.device(loss), samples);
        optimizer(after);
        if (bytes > 0)
            after.add("step_undo", "", Grid.over(bytes / Float.BYTES, device), state, MemorySegment.ofAddress(noted),
                    statistics, bytes / Float.BYTES);
        return new Calls(all(before.calls()), all(after.calls()));
    }

    private static Runnable all(Runnable[] calls) {
        return () -> {
            for (Runnable call : calls)
                call.run();
        };
    }

    /** Norm of the gradient, if anything asks for it, and what becomes of the step. */
    private void decide(Launches to, MemorySegment loss, int samples) {
        boolean scaled = plan.scaling().isPresent();
        Grid grid = Grid.over(trainable.length(), device);
        long parts = scaled || plan.clips() ? grid.x() : 0;
        MemorySegment partial = MemorySegment.ofAddress(device.allocate(parts * Double.BYTES, arena));
        if (parts > 0)
            to.add("squares", "", grid, twins.device(plan.gradients().range(trainable)), trainable.length(), partial);
        Scaling s = plan.scaling().orElse(new Scaling(1, 1, Integer.MAX_VALUE, 0));
        boolean adam = plan.method() instanceof Method.Adam;
        double beta1 = adam ? ((Method.Adam) plan.method()).beta1() : 0;
        double beta2 = adam ? ((Method.Adam) plan.method()).beta2() : 0;
        to.add("step_decide", "", ONE, state, twins.device(plan.course()), partial, parts, loss, (long) samples,
                scaled ? 1L : 0L, s.growth(), s.backoff(), s.least(), (long) s.growthInterval(), beta1, beta2);
    }

    private void optimizer(Launches to) {
        List<Chunks.Chunk> list = new ArrayList<>();
        for (Stretch s : plan.stretches())
            list.addAll(Chunks.of(plan.weights().table(), trainable.offset() + s.offset(), s.length(),
                    trainable.offset(), copy::place, s.learningRate(), s.weightDecay()));
        MemorySegment chunks = Chunks.onDevice(list, device, arena);
        Grid grid = new Grid(list.size(), 1, 1);
        MemorySegment p = twins.device(plan.weights().range(trainable));
        MemorySegment g = twins.device(plan.gradients().range(trainable));
        MemorySegment m = twins.device(plan.moments());
        long n = trainable.length();
        String suffix = plan.moments().byteSize() / (n * Float.BYTES) + copy.suffix();
        MemorySegment half = copy.base();
        switch (plan.method()) {
            case Method.Sgd s -> to.add("sgd_step", suffix, grid, state, chunks, p, g, m, n, half, s.momentum(),
                    s.nesterov() ? 1 : 0);
            case Method.Adam a -> to.add("adam_step", suffix, grid, state, chunks, p, g, m, n, half, a.beta1(),
                    a.beta2(), a.epsilon(), a.decoupled() ? 1 : 0);
        }
    }

    @Override
    public void toDevice() {
        twins.toDevice(plan.weights().segment(), copy);
        twins.toDevice(plan.gradients().segment());
        twins.toDevice(plan.moments());
    }

    @Override
    public void pace() { pace.step(); }
}
