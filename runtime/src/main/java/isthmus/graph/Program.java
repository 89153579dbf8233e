package isthmus.graph;

import isthmus.backend.Addresses;
import isthmus.backend.Backend;
import isthmus.backend.Kernel;
import isthmus.backend.MissingKernelException;
import isthmus.backend.Precision;
import isthmus.backend.StepScalars;
import isthmus.op.Kind;
import isthmus.op.Node;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * A graph made ready: a flat list of native calls on fixed addresses in one arena. Running it allocates nothing. A program
 * reads weights from, and writes gradients and running statistics to, the buffers it was compiled for; several programs may
 * share them. Used by one thread at a time.
 */
public final class Program implements AutoCloseable {
    private final Graph graph;
    private final Backend backend;
    private final Arena arena;
    private final Plan plan;
    private final Function<Value, DType> types;
    private final WeightBuffer weights;
    private final WeightBuffer gradients;
    private final MemorySegment memory;
    private final StepScalars scalars;
    private final Kernel[] kernels;
    private final Node[] nodes;
    /** Where in the graph each call stands: views are no calls. */
    private final int[] positions;

    private Program(Graph graph, Backend backend, Precision precision, WeightBuffer weights, WeightBuffer gradients) {
        this.graph = graph;
        this.backend = backend;
        this.types = v -> type(v, precision);
        this.weights = weights;
        this.gradients = gradients;
        this.arena = Arena.ofShared();
        List<Node> running = new ArrayList<>();
        List<Integer> at = new ArrayList<>();
        List<Kernel> prepared = new ArrayList<>();
        try {
            long[] scratch = prepare(running, at, prepared);
            this.plan = Plan.of(graph, types, this::isPinned, scratch);
            this.memory = backend.allocate(Math.max(Plan.ALIGNMENT, plan.bytes()), arena);
            this.scalars = new StepScalars(backend.allocate(StepScalars.BYTES, arena));
            scalars.lossScale(1);
            this.nodes = running.toArray(Node[]::new);
            this.kernels = prepared.toArray(Kernel[]::new);
            this.positions = at.stream().mapToInt(Integer::intValue).toArray();
            for (int i = 0; i < kernels.length; i++)
                kernels[i].bind(new Bound(positions[i]));
        } catch (RuntimeException e) {
            prepared.forEach(Kernel::close);
            arena.close();
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
        String expected = graph.table().digest();
        if (!weights.table().digest().equals(expected)) {
            throw new IllegalArgumentException(
                    "compile: the weights are another model's: " + graph.table().differences(weights.table(), 3));
        }
        if (!graph.parameterGradients().isEmpty()
                && (gradients == null || !gradients.table().digest().equals(expected))) {
            throw new IllegalArgumentException("compile: a graph with gradients needs a gradient buffer of its table");
        }
        return new Program(graph, backend, precision, weights, gradients);
    }

    private static DType type(Value v, Precision precision) {
        return switch (v.spec().kind()) {
            case ACTIVATION -> precision.compute();
            case FLOAT -> DType.F32;
            case LABEL -> DType.I32;
            case INDEX -> DType.U8;
        };
    }

    private long[] prepare(List<Node> running, List<Integer> positions, List<Kernel> prepared) {
        long[] scratch = new long[graph.nodes().size()];
        List<String> missing = new ArrayList<>();
        for (int i = 0; i < scratch.length; i++) {
            Node node = graph.nodes().get(i);
            if (Plan.isView(node, types) && !isPinned(node.out(0))) continue;
            Optional<Kernel> kernel = backend.prepare(node, types);
            if (kernel.isEmpty()) {
                missing.add(node.toString());
                continue;
            }
            running.add(node);
            positions.add(i);
            prepared.add(kernel.get());
            scratch[i] = kernel.get().scratchBytes();
        }
        if (!missing.isEmpty()) throw new MissingKernelException(backend.name(), missing);
        return scratch;
    }

    private boolean isPinned(Value v) {
        return v.role() == Value.Role.PARAMETER || graph.parameterGradients().containsValue(v);
    }

    private MemorySegment address(Value v) {
        if (v.role() == Value.Role.PARAMETER) return weights.slice(v.name());
        if (v.spec().kind() == Kind.FLOAT) {
            for (Map.Entry<String, Value> e : graph.parameterGradients().entrySet()) {
                if (e.getValue().equals(v)) return gradients.slice(e.getKey());
            }
        }
        Value root = graph.values().get(plan.rootOf(v));
        if (!root.equals(v) && isPinned(root)) return address(root);
        Plan.Block b = plan.block(v);
        return memory.asSlice(b.offset(), v.shape().elements() * types.apply(v).bytes());
    }

    private final class Bound implements Addresses {
        private final int index;

        Bound(int index) { this.index = index; }

        @Override
        public MemorySegment of(Value value) { return address(value); }

        @Override
        public MemorySegment scratch() {
            Plan.Block b = plan.scratch(index);
            return b == null ? MemorySegment.NULL : memory.asSlice(b.offset(), b.bytes());
        }

        @Override
        public StepScalars scalars() { return scalars; }
    }

    /** Runs all calls in order. Call {@link Backend#enter} on this thread first. */
    public void run() {
        for (int i = 0; i < kernels.length; i++)
            run(i);
    }

    /** Runs all calls in order and notes how long each took: {@code nanos[i]} nanoseconds for call i. */
    public void run(long[] nanos) {
        long begin = System.nanoTime();
        for (int i = 0; i < kernels.length; i++) {
            run(i);
            long end = System.nanoTime();
            nanos[i] = end - begin;
            begin = end;
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
        return named("input", graph.inputs(), name);
    }

    /** Memory of an output, valid after a step until the next. */
    public MemorySegment output(String name) {
        return named("output", graph.outputs(), name);
    }

    private MemorySegment named(String what, Map<String, Value> values, String name) {
        Value v = values.get(name);
        if (v == null)
            throw new IllegalArgumentException(
                    "the program has no " + what + " " + name + "; it has " + values.keySet());
        return address(v);
    }

    /** Seed and step for counter-based randomness. */
    public StepScalars scalars() { return scalars; }

    /** The memory plan. */
    public Plan plan() { return plan; }

    /** The graph that was compiled. */
    public Graph graph() { return graph; }

    /** All calls in running order, with what each moves and computes. */
    public List<Call> calls() {
        List<Call> calls = new ArrayList<>();
        for (int i = 0; i < kernels.length; i++) {
            Node n = nodes[i];
            calls.add(new Call(n, kernels[i].implementation(), types.apply(n.in(0)), bytes(n),
                    n.op().flops(specs(n.inputs()), specs(n.outputs())), plan.liveAt(positions[i])));
        }
        return calls;
    }

    private static List<Spec> specs(List<Value> values) { return values.stream().map(Value::spec).toList(); }

    private long bytes(Node n) {
        long sum = 0;
        for (int i = 0; i < n.inputs().size(); i++)
            if (n.op().reads(i) && n.inputs().indexOf(n.in(i)) == i) sum += bytes(n.in(i));
        for (Value v : n.outputs())
            sum += bytes(v);
        return sum;
    }

    private long bytes(Value v) { return v.shape().elements() * types.apply(v).bytes(); }

    /** One line a call: op, place, shapes, implementation. */
    public List<String> listing() {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < kernels.length; i++)
            lines.add(nodes[i] + "  " + kernels[i].implementation());
        return lines;
    }

    @Override
    public void close() {
        for (Kernel k : kernels)
            k.close();
        arena.close();
    }
}
