package isthmus.graph;

import isthmus.op.Add;
import isthmus.op.Backward;
import isthmus.op.Cast;
import isthmus.op.LossScale;
import isthmus.op.Node;
import isthmus.op.Op;
import isthmus.op.Value;
import isthmus.tensor.Region;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Reverse-mode differentiation: appends to a graph the ops that compute the gradient of its loss with respect to every
 * trainable parameter. What no trainable parameter depends on gets no gradient.
 */
public final class Gradients {
    private final Graph graph;
    private final boolean scaled;
    private final Set<Integer> wanted = new HashSet<>();
    private final Map<Integer, List<Value>> contributions = new HashMap<>();

    private Gradients(Graph graph, boolean scaled) {
        this.graph = graph;
        this.scaled = scaled;
    }

    /** Differentiates the graph's output of that name, which must be made by a loss op. */
    public static void append(Graph graph, String loss) {
        append(graph, loss, false);
    }

    /** The same; {@code scaled} gradients are multiplied by the {@linkplain LossScale scale of the loss}. */
    public static void append(Graph graph, String loss, boolean scaled) {
        Value value = graph.outputs().get(loss);
        if (value == null)
            throw new IllegalArgumentException(
                    "the graph has no output " + loss + "; it has " + graph.outputs().keySet());
        new Gradients(graph, scaled).run(value);
    }

    /** Differentiates with respect to {@code of}, given the gradient {@code upstream} that reaches it. */
    public static void append(Graph graph, Value of, Value upstream) {
        Gradients g = new Gradients(graph, false);
        g.contributions.put(of.id(), new ArrayList<>(List.of(upstream)));
        g.run(null);
    }

    private void run(Value loss) {
        List<Node> forward = List.copyOf(graph.nodes());
        graph.parameters().forEach((name, v) -> {
            if (graph.region(name) == Region.TRAINABLE) wanted.add(v.id());
        });
        for (Node n : forward) {
            if (n.inputs().stream().anyMatch(v -> wanted.contains(v.id())))
                n.outputs().forEach(v -> wanted.add(v.id()));
        }
        for (Node n : forward.reversed()) {
            boolean isLoss = loss != null && n.outputs().contains(loss);
            boolean reached = n.outputs().stream().anyMatch(v -> contributions.containsKey(v.id()));
            if ((isLoss || reached) && n.inputs().stream().anyMatch(v -> wanted.contains(v.id())))
                n.op().gradient(new Step(n, isLoss && scaled));
        }
        graph.parameters().forEach((name, v) -> {
            if (contributions.containsKey(v.id())) graph.parameterGradients().put(name, own(total(v, name), name));
        });
    }

    /** A gradient that is another parameter's too is copied: each has its own place in the gradient buffer. */
    private Value own(Value gradient, String label) {
        if (!graph.parameterGradients().containsValue(gradient)) return gradient;
        return graph.apply(label, new Cast(gradient.spec().kind()), gradient).getFirst();
    }

    /** The sum of all contributions to a value's gradient; adds are appended as needed. */
    private Value total(Value v, String label) {
        List<Value> parts = contributions.get(v.id());
        if (parts == null) throw new IllegalStateException(v + ": no gradient reaches it");
        while (parts.size() > 1) {
            Value sum = graph.apply(label, new Add(), parts.removeFirst(), parts.removeFirst()).getFirst();
            parts.add(sum);
        }
        return parts.getFirst();
    }

    private final class Step implements Backward {
        private final Node node;
        private final boolean scaled;

        Step(Node node, boolean scaled) {
            this.node = node;
            this.scaled = scaled;
        }

        @Override
        public Node node() { return node; }

        @Override
        public Value upstream(int i) { return total(node.out(i), node.label()); }

        @Override
        public boolean wants(int i) { return wanted.contains(node.in(i).id()); }

        @Override
        public List<Value> apply(Op op, Value... inputs) { return graph.apply(node.label(), op, inputs); }

        @Override
        public void give(int i, Value gradient) {
            if (!wants(i)) return;
            Value given = scaled ? apply(new LossScale(), gradient).getFirst() : gradient;
            contributions.computeIfAbsent(node.in(i).id(), k -> new ArrayList<>()).add(given);
        }
    }
}
