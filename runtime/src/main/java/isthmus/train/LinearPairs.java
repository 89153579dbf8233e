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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Layers that feed each other with nothing but straight lines between: two convolutions or linear layers, or one of each,
 * together compute what one could. Normalisations count as straight: their statistics bend nothing within a batch.
 */
final class LinearPairs {
    private static final Set<Class<? extends Op>> LAYERS = Set.of(Conv.class, Linear.class);
    private static final Set<Class<? extends Op>> STRAIGHT = Set.of(Add.class, Multiply.class, Flatten.class,
            AvgPool.class, GlobalAvgPool.class, Dropout.class, StochasticDepth.class, Cast.class, Concat.class,
            Concat.Slice.class, Upsample.class, Normalize.class, GroupNorm.class);

    /** The first layer's label and the second's. */
    record Pair(String first, String second) {}

    private final Map<Integer, Node> makers = new HashMap<>();

    private LinearPairs(Graph graph) {
        for (Node n : graph.nodes())
            n.outputs().forEach(v -> makers.put(v.id(), n));
    }

    /** All pairs of a graph without fusions, in running order. An adapter's halves are one layer and no pair. */
    static List<Pair> of(Graph graph) {
        LinearPairs search = new LinearPairs(graph);
        Set<Pair> pairs = new LinkedHashSet<>();
        for (Node n : graph.nodes()) {
            if (!LAYERS.contains(n.op().getClass())) continue;
            for (String first : search.feeding(n.in(0)))
                if (!first.equals(n.label())) pairs.add(new Pair(first, n.label()));
        }
        return List.copyOf(pairs);
    }

    /** Labels of the layers whose results reach a value in straight lines. */
    private Set<String> feeding(Value value) {
        Set<String> found = new LinkedHashSet<>();
        Set<Integer> seen = new HashSet<>();
        List<Value> open = new ArrayList<>(List.of(value));
        while (!open.isEmpty()) {
            Value v = open.removeLast();
            Node maker = makers.get(v.id());
            if (maker == null || !seen.add(v.id())) continue;
            if (LAYERS.contains(maker.op().getClass())) found.add(maker.label());
            else if (STRAIGHT.contains(maker.op().getClass())) open.addAll(maker.inputs());
        }
        return found;
    }
}
