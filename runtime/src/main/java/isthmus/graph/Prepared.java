package isthmus.graph;

import isthmus.backend.Backend;
import isthmus.backend.Kernel;
import isthmus.backend.MissingKernelException;
import isthmus.backend.Precision;
import isthmus.backend.Shelf;
import isthmus.op.Concat;
import isthmus.op.Node;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** A graph of which all is decided but where in memory it lies: element types, kernels, the arena's plan. Owns the kernels. */
final class Prepared implements AutoCloseable {
    /** What decides the kernels of a graph and its plan, on one backend. */
    private record Kind(List<Node> nodes, Map<String, Value> inputs, Map<String, Value> outputs,
            Map<String, Value> parameterGradients, Precision precision, Set<Rewrite> rewrites) {
        static Kind of(Graph graph, Precision precision, Rewrites rewrites) {
            return new Kind(List.copyOf(graph.nodes()), Map.copyOf(graph.inputs()), Map.copyOf(graph.outputs()),
                    Map.copyOf(graph.parameterGradients()), precision, rewrites.applied());
        }
    }

    private final Kind kind;
    private final Optional<Shelf> shelf;
    private final Graph graph;
    private final Precision precision;
    /** Parameters by the id of their gradient. */
    private final Map<Integer, String> gradients = new HashMap<>();
    /** Inputs and outputs, where kernels have memory of their own and share these alone with the host. */
    private final Set<Integer> exchanged = new HashSet<>();
    private final List<Node> nodes = new ArrayList<>();
    private final List<Kernel> kernels = new ArrayList<>();
    /** Where in the graph each call stands: views are no calls. */
    private int[] positions = new int[0];
    private final Layout layout;
    private final Plan plan;

    /** Prepares a graph, or takes what an equal graph's program has left. */
    static Prepared of(Graph graph, Backend backend, Precision precision, Rewrites rewrites) {
        Kind kind = Kind.of(graph, precision, rewrites);
        return backend.shelf().flatMap(s -> s.take(kind, Prepared.class))
                .orElseGet(() -> new Prepared(kind, graph, backend, precision, rewrites));
    }

    private Prepared(Kind kind, Graph graph, Backend backend, Precision precision, Rewrites rewrites) {
        this.kind = kind;
        this.shelf = backend.shelf();
        this.graph = graph;
        this.precision = precision;
        graph.parameterGradients().forEach((name, v) -> {
            if (type(v) != DType.F32)
                throw new IllegalArgumentException("the gradient of " + name + " is computed in " + type(v)
                        + "; gradients of weights are float32");
            gradients.put(v.id(), name);
        });
        if (backend.hasOwnMemory()) {
            graph.inputs().values().forEach(v -> exchanged.add(v.id()));
            graph.outputs().values().forEach(v -> exchanged.add(v.id()));
        }
        this.layout = new Layout(graph, this::type, this::isPinned, backend, rewrites);
        try {
            this.plan = Plan.of(graph, layout, this::type, this::isPinned, prepare(backend));
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Makes the kernels; returns each node's need of scratch memory. */
    private long[] prepare(Backend backend) {
        long[] scratch = new long[graph.nodes().size()];
        int[] at = new int[scratch.length];
        List<String> missing = new ArrayList<>();
        for (int i = 0; i < scratch.length; i++) {
            Node node = graph.nodes().get(i);
            if (layout.isIdle(i)) continue;
            Optional<Kernel> kernel = backend.prepare(node, this::type, layout::stride);
            if (kernel.isEmpty()) {
                missing.add(node.toString());
                continue;
            }
            at[nodes.size()] = i;
            nodes.add(node);
            kernels.add(kernel.get());
            scratch[i] = kernel.get().scratchBytes();
        }
        if (!missing.isEmpty()) throw new MissingKernelException(backend.name(), missing);
        positions = Arrays.copyOf(at, nodes.size());
        return scratch;
    }

    private DType type(Value v) {
        return switch (v.spec().kind()) {
            case ACTIVATION -> precision.compute();
            case FLOAT -> DType.F32;
            case LABEL -> DType.I32;
            case BYTE -> DType.U8;
        };
    }

    /** Whether a value lives outside the arena: weights and their gradients, and what is exchanged with the host. */
    boolean isPinned(Value v) {
        return v.role() == Value.Role.PARAMETER || gradients.containsKey(v.id()) || isExchanged(v);
    }

    /** Whether a value lies in memory of its own that the device shares with the host. */
    boolean isExchanged(Value v) {
        return exchanged.contains(v.id());
    }

    /** What inputs and outputs take beside the arena: twice, as the next batch is on its way while one is computed. */
    long exchangedBytes() {
        return 2 * graph.values().stream().filter(this::isExchanged).mapToLong(this::bytes).sum();
    }

    /** The parameter whose gradient a value is, or nothing. */
    Optional<String> gradientOf(Value v) {
        return Optional.ofNullable(gradients.get(v.id()));
    }

    Plan plan() { return plan; }

    Layout layout() { return layout; }

    Kernel[] kernels() { return kernels.toArray(Kernel[]::new); }

    Node[] nodes() { return nodes.toArray(Node[]::new); }

    /** The position in the graph of call {@code i}. */
    int position(int i) { return positions[i]; }

    /** What a value takes. */
    long bytes(Value v) { return v.shape().elements() * type(v).bytes(); }

    List<Call> calls() {
        List<Call> calls = new ArrayList<>();
        for (int i = 0; i < nodes.size(); i++) {
            Node n = nodes.get(i);
            calls.add(new Call(n, kernels.get(i).implementation(), type(n.in(0)), traffic(n),
                    n.op().flops(specs(n.inputs()), specs(n.outputs())), plan.liveAt(positions[i])));
        }
        return calls;
    }

    private static List<Spec> specs(List<Value> values) { return values.stream().map(Value::spec).toList(); }

    /** Whether a part of a concatenation lies where it belongs. */
    private boolean lies(Value part, Node n) {
        return n.op() instanceof Concat && layout.isInPlace(part, n.out(0));
    }

    private long traffic(Node n) {
        long sum = 0;
        for (int i = 0; i < n.inputs().size(); i++)
            if (n.inputs().indexOf(n.in(i)) == i && !lies(n.in(i), n)) sum += n.op().readings(i) * bytes(n.in(i));
        for (Value v : n.outputs())
            sum += bytes(v);
        // What lies in a concatenation is not written once more.
        for (Value v : n.inputs())
            if (lies(v, n)) sum -= bytes(v);
        return sum;
    }

    /** After use: keeps the kernels for the next program of an equal graph. */
    void shelve() {
        if (shelf.isPresent()) shelf.get().put(kind, this);
        else
            close();
    }

    @Override
    public void close() { kernels.forEach(Kernel::close); }
}
