package isthmus.graph;

import isthmus.op.Node;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Who reads which value of a graph. */
final class Readers {
    private final Map<Integer, List<Node>> nodes = new HashMap<>();
    private final Map<Integer, Node> producers = new HashMap<>();
    /** Outputs and gradients, which are read after the last node. */
    private final Set<Integer> kept = new HashSet<>();

    Readers(Graph graph) {
        for (Node n : graph.nodes()) {
            n.inputs().forEach(v -> nodes.computeIfAbsent(v.id(), id -> new ArrayList<>()).add(n));
            n.outputs().forEach(v -> producers.put(v.id(), n));
        }
        graph.outputs().values().forEach(v -> kept.add(v.id()));
        graph.parameterGradients().values().forEach(v -> kept.add(v.id()));
    }

    /** The nodes that read a value, one for each input that it is. */
    List<Node> of(Value v) {
        return nodes.getOrDefault(v.id(), List.of());
    }

    /** Whether a value is read after the last node. */
    boolean isKept(Value v) { return kept.contains(v.id()); }

    /** Whether anybody reads a value. */
    boolean isRead(Value v) { return isKept(v) || nodes.containsKey(v.id()); }

    /** The one node that reads a value, with one of its inputs; nothing if there are none or several. */
    Optional<Node> only(Value v) {
        return isKept(v) || of(v).size() != 1 ? Optional.empty() : Optional.of(of(v).getFirst());
    }

    /** The node that makes a value; nothing for inputs and parameters. */
    Optional<Node> producer(Value v) {
        return Optional.ofNullable(producers.get(v.id()));
    }
}
