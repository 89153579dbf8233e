package isthmus.graph;

import isthmus.backend.Addresses;
import isthmus.backend.Backend;
import isthmus.backend.Kernel;
import isthmus.backend.Precision;
import isthmus.backend.StepScalars;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A graph made ready: a flat list of native calls on fixed addresses in one arena. Running it allocates nothing. A program
 * reads weights from, and writes gradients and running statistics to, the buffers it was compiled for; several programs may
 * share them. Used by one thread at a time.
 */
public final class Program implements AutoCloseable {
    private final Graph graph;
    private final Backend backend;
    private final Arena arena;
    private final Prepared prepared;
    /** Owned by this program; null if it works in another's. */
    private final Workspace own;
    private final WeightBuffer weights;
    private final WeightBuffer gradients;
    private final MemorySegment memory;
    private final StepScalars scalars;
    /** Inputs and outputs by id, where the device has memory of its own. */
    private final Map<Integer, MemorySegment> exchanged = new HashMap<>();
    private final MemorySegment[] uploads;
    private final Kernel[] kernels;
    private final Node[] nodes;
    private final Backend.Repeated calls;

    private Program(Graph graph, Prepared prepared, Backend backend, WeightBuffer weights, WeightBuffer gradients,
            Workspace shared) {
        this.graph = graph;
        this.own = shared == null ? new Workspace(backend) : null;
        this.backend = backend;
        this.prepared = prepared;
        this.weights = weights;
        this.gradients = gradients;
        this.arena = Arena.ofShared();
        this.nodes = prepared.nodes();
        this.kernels = prepared.kernels();
        try {
            this.memory = (shared == null ? own : shared).take(Math.max(Plan.ALIGNMENT, plan().bytes()));
            this.scalars = new StepScalars(backend.allocate(StepScalars.BYTES, arena));
            scalars.lossScale(1);
            this.uploads = exchange();
            for (int i = 0; i < kernels.length; i++)
                kernels[i].bind(new Bound(prepared.position(i)));
            this.calls = backend.repeatable(this::runAll);
        } catch (RuntimeException | Error e) {
            arena.close();
            if (own != null) own.close();
            throw e;
        }
    }

    /**
     * Compiles a graph.
     *
     * @param weights buffer of the graph's table
     * @param gradients buffer of the same table for the graph's parameter gradients; may be null if it has none
     */
    public static Program compile(Graph graph, Backend backend, Precision precision, WeightBuffer weights,
            WeightBuffer gradients) {
        return compile(graph, backend, precision, weights, gradients, null, 0);
    }

    /**
     * Compiles a graph if its plan fits into the memory that is free.
     *
     * @param shared memory that other programs use as well, at other times; null for memory of its own
     * @param besides bytes of free memory that are spoken for, as for weights that are not written yet
     */
    public static Program compile(Graph graph, Backend backend, Precision precision, WeightBuffer weights,
            WeightBuffer gradients, Workspace shared, long besides) {
        return compile(graph, backend, precision, weights, gradients, shared, besides, Rewrites.chosen());
    }

    /** The same with those of some rewrites that concern where values lie. */
    static Program compile(Graph graph, Backend backend, Precision precision, WeightBuffer weights,
            WeightBuffer gradients, Workspace shared, long besides, Rewrites rewrites) {
        String expected = graph.table().digest();
        if (!weights.table().digest().equals(expected)) {
            throw new IllegalArgumentException(
                    "compile: the weights are another model's: " + graph.table().differences(weights.table(), 3));
        }
        if (!graph.parameterGradients().isEmpty()
                && (gradients == null || !gradients.table().digest().equals(expected))) {
            throw new IllegalArgumentException("compile: a graph with gradients needs a gradient buffer of its table");
        }
        Prepared prepared = Prepared.of(graph, backend, precision, rewrites);
        try {
            long bytes = prepared.plan().bytes();
            long more = (shared == null ? bytes : shared.missing(bytes)) + prepared.exchangedBytes();
            long free = backend.freeBytes();
            if (more > 0 && more > free - besides)
                throw new MemoryException("this batch", more + besides, free, "use a smaller one");
            return new Program(graph, prepared, backend, weights, gradients, shared);
        } catch (RuntimeException | Error e) {
            prepared.close();
            throw e;
        }
    }

    /** What a graph would take: the arena, and what is exchanged with a device; none is allocated. */
    public static long neededBytes(Graph graph, Backend backend, Precision precision) {
        try (Prepared prepared = Prepared.of(graph, backend, precision, Rewrites.chosen())) {
            return prepared.plan().bytes() + prepared.exchangedBytes();
        }
    }

    /** The size of the arena that a graph would take; none is allocated. */
    public static long arenaBytes(Graph graph, Backend backend, Precision precision) {
        return arenaBytes(graph, backend, precision, Rewrites.chosen());
    }

    static long arenaBytes(Graph graph, Backend backend, Precision precision, Rewrites rewrites) {
        try (Prepared prepared = Prepared.of(graph, backend, precision, rewrites)) {
            return prepared.plan().bytes();
        }
    }

    /** Makes memory for what is shared with the host; returns what the host writes before every step. */
    private MemorySegment[] exchange() {
        List<MemorySegment> written = new ArrayList<>();
        for (Value v : graph.values())
            if (prepared.isExchanged(v)) exchanged.put(v.id(), backend.allocate(prepared.bytes(v), arena));
        if (!backend.hasOwnMemory()) return new MemorySegment[0];
        graph.inputs().values().forEach(v -> written.add(exchanged.get(v.id())));
        written.add(scalars.segment());
        return written.toArray(MemorySegment[]::new);
    }

    /** Where kernels find a value. */
    private MemorySegment address(Value v) {
        if (v.role() == Value.Role.PARAMETER) return backend.onDevice(weights.slice(v.name()));
        Optional<String> parameter = prepared.gradientOf(v);
        if (parameter.isPresent()) return backend.onDevice(gradients.slice(parameter.get()));
        if (prepared.isExchanged(v)) return backend.onDevice(exchanged.get(v.id()));
        Layout layout = prepared.layout();
        Value root = graph.values().get(layout.root(v));
        if (!root.equals(v) && prepared.isPinned(root)) return part(address(root), v);
        Plan.Block block = plan().block(v);
        return part(memory.asSlice(block.offset(), block.bytes()), v);
    }

    /** Where a value lies inside its root's memory. */
    private MemorySegment part(MemorySegment root, Value v) {
        Layout layout = prepared.layout();
        long size = prepared.bytes(v) / v.shape().elements();
        return root.asSlice(layout.position(v) * size, layout.extent(v) * size);
    }

    private final class Bound implements Addresses {
        private final int index;

        Bound(int index) { this.index = index; }

        @Override
        public MemorySegment of(Value value) { return address(value); }

        @Override
        public Optional<MemorySegment> computed(Value value, DType type) {
            return value.role() == Value.Role.PARAMETER
                    ? backend.computeCopy(weights, value.name(), type)
                    : Optional.empty();
        }

        @Override
        public long stride(Value value) { return prepared.layout().stride(value); }

        @Override
        public MemorySegment scratch() {
            Plan.Block b = plan().scratch(index);
            return b == null ? MemorySegment.NULL : memory.asSlice(b.offset(), b.bytes());
        }

        @Override
        public StepScalars scalars() { return new StepScalars(backend.onDevice(scalars.segment())); }
    }

    /** Runs all calls in order. Call {@link Backend#enter} on this thread first. */
    public void run() {
        toDevice();
        calls.run();
    }

    /**
     * Makes all calls without looking after shared memory: for {@linkplain Backend#repeatable recordings} of more than this
     * program, which {@link #ready} comes before.
     */
    public void enqueue() { runAll(); }

    /** Brings weights and gradients up to date on the device; not the inputs. */
    public void ready() {
        if (uploads.length == 0) return;
        backend.toDevice(weights.segment());
        if (gradients != null) backend.toDevice(gradients.segment());
    }

    private void runAll() {
        for (int i = 0; i < kernels.length; i++)
            run(i);
    }

    private void toDevice() {
        ready();
        for (MemorySegment written : uploads)
            backend.upload(written);
    }

    /** Runs all calls in order and notes how long each took: {@code nanos[i]} nanoseconds for call i. */
    public void run(long[] nanos) {
        toDevice();
        try (Backend.Stopwatch clock = backend.stopwatch()) {
            for (int i = 0; i < kernels.length; i++) {
                clock.start();
                run(i);
                clock.stop();
                nanos[i] = Math.round(clock.seconds() * 1e9);
            }
        }
    }

    private void run(int i) {
        try {
            kernels[i].run();
        } catch (RuntimeException e) {
            throw new ProgramException(nodes[i] + " (" + kernels[i].implementation() + "): " + e.getMessage(), e);
        }
    }

    /** Memory of an input, to be filled before a step: channels-last, in the input's element type. */
    public MemorySegment input(String name) {
        Value v = named("input", graph.inputs(), name);
        if (!prepared.isExchanged(v)) return address(v);
        // The last step's copy may not have been made yet.
        backend.synchronize();
        return exchanged.get(v.id());
    }

    /** Memory of an output, valid after a step until the next. */
    public MemorySegment output(String name) {
        Value v = named("output", graph.outputs(), name);
        if (!prepared.isExchanged(v)) return address(v);
        backend.download(exchanged.get(v.id()));
        return exchanged.get(v.id());
    }

    /** Brings memory that {@link #output} gave up to date after another step. */
    public void fetch(MemorySegment output) {
        backend.download(output);
    }

    private static Value named(String what, Map<String, Value> values, String name) {
        Value v = values.get(name);
        if (v == null)
            throw new IllegalArgumentException(
                    "the program has no " + what + " " + name + "; it has " + values.keySet());
        return v;
    }

    /** Seed and step for counter-based randomness. */
    public StepScalars scalars() { return scalars; }

    /** Which values lie inside others. */
    Layout layout() { return prepared.layout(); }

    /** The memory plan. */
    public Plan plan() { return prepared.plan(); }

    /** The graph that was compiled. */
    public Graph graph() { return graph; }

    /** All calls in running order, with what each moves and computes. */
    public List<Call> calls() {
        return prepared.calls();
    }

    /** One line a call: op, place, shapes, implementation. */
    public List<String> listing() {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < kernels.length; i++)
            lines.add(nodes[i] + "  " + kernels[i].implementation());
        return lines;
    }

    @Override
    public void close() {
        calls.close();
        prepared.shelve();
        arena.close();
        if (own != null) own.close();
    }
}
