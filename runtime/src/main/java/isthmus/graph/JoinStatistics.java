package isthmus.graph;

import isthmus.op.ChannelStatistics;
import isthmus.op.Measured;
import isthmus.op.Node;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Lets a convolution take the statistics of what it writes, which would be a pass over it. Runs after differentiation and after
 * norms are {@linkplain JoinNorms on the way}.
 */
final class JoinStatistics {
    private JoinStatistics() {}

    /** @param measures whether the backend's kernel of a node takes statistics */
    static Graph apply(Graph from, Predicate<Node> measures) {
        Readers readers = new Readers(from);
        Map<Node, Node> statistics = new HashMap<>();
        Set<Node> gone = new HashSet<>();
        for (Node n : from.nodes()) {
            if (n.outputs().size() != 1 || !measures.test(n)) continue;
            Optional<Node> s = readers.of(n.out(0)).stream().filter(r -> r.op() instanceof ChannelStatistics)
                    .findFirst();
            s.ifPresent(r -> statistics.put(n, r));
            s.ifPresent(gone::add);
        }
        if (gone.isEmpty()) return from;
        GraphCopy copy = new GraphCopy(from);
        for (Node n : from.nodes()) {
            if (gone.contains(n)) continue;
            Node s = statistics.get(n);
            if (s == null) copy.move(n);
            else {
                var out = copy.apply(n.label(), new Measured(n.op()), copy.in(n));
                copy.put(n.out(0), out.get(0));
                copy.put(s.out(0), out.get(1));
                copy.put(s.out(1), out.get(2));
            }
        }
        return copy.done();
    }
}
