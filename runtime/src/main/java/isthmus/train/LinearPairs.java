package isthmus.train;

import isthmus.graph.Graph;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.Cast;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.Dropout;
import isthmus.op.Flatten;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Linear;
import isthmus.op.Multiply;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.StochasticDepth;
import isthmus.op.Upsample;
import isthmus.op.Value;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Layers that feed each other with nothing but straight lines between: two convolutions or linear layers, or one of each,
 * together compute what one could. Normalisations count as straight: their statistics bend nothing within a batch. Where
 * streams of several layers join, as in residual sums, no single layer could replace them, and nothing is said.
 */
final class LinearPairs {
    private static final Set<Class<? extends Op>> LAYERS = Set.of(Conv.class, Linear.class);
    private static final Set<Class<? extends Op>> STRAIGHT = Set.of(Multiply.class, Flatten.class, AvgPool.class,
            GlobalAvgPool.class, Dropout.class, StochasticDepth.class, Cast.class, Concat.Slice.class, Upsample.class,
            Normalize.class, GroupNorm.class);
    private static final Set<Class<? extends Op>> JOINS = Set.of(Add.class, Concat.class);

    /** The first layer's label and the second's. */
    record Pair(String first, String second) {}

    private final Map<Integer, Node> makers = new HashMap<>();

    private LinearPairs(Graph graph) {
        for (Node n : graph.nodes())
            n.outputs().forEach(v -> makers.put(v.id(), n));
    }

    /** All pairs of a graph without fusions, in running order. An adapter and its base are one layer and no pair. */
    static List<Pair> of(Graph graph) {
        LinearPairs search = new LinearPairs(graph);
        Set<Pair> pairs = new LinkedHashSet<>();
        for (Node n : graph.nodes()) {
            if (LAYERS.contains(n.op().getClass()))
                search.feeding(n.in(0)).filter(first -> !first.equals(n.label()))
                        .ifPresent(first -> pairs.add(new Pair(first, n.label())));
        }
        return List.copyOf(pairs);
    }

    /** Label of the one layer whose results reach a value in straight lines. */
    private Optional<String> feeding(Value value) {
        Node maker = makers.get(value.id());
        if (maker == null) return Optional.empty();
        Class<? extends Op> op = maker.op().getClass();
        if (LAYERS.contains(op)) return Optional.of(maker.label());
        if (STRAIGHT.contains(op)) return feeding(maker.in(0));
        if (!JOINS.contains(op)) return Optional.empty();
        Set<Optional<String>> sources = maker.inputs().stream().map(this::feeding).collect(Collectors.toSet());
        return sources.size() == 1 ? sources.iterator().next() : Optional.empty();
    }
}
