package isthmus.graph;

import isthmus.op.AvgPool;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Averages before a 1x1 convolution rather than after it, as in DenseNet's transitions: both are linear, one over the
 * channels of a position and one over the positions of a channel, so they commute, and the convolution has fewer positions to
 * work on. A bias passes through an average unchanged as long as no zeros of a padding are averaged with it.
 */
final class PoolFirst {
    private PoolFirst() {}

    static Graph apply(Graph from) {
        Readers readers = new Readers(from);
        Map<Node, Node> poolOf = new HashMap<>();
        for (Node n : from.nodes())
            poolAfter(n, readers).ifPresent(pool -> poolOf.put(n, pool));
        if (poolOf.isEmpty()) return from;
        GraphCopy copy = new GraphCopy(from);
        for (Node n : from.nodes()) {
            Node pool = poolOf.get(n);
            if (pool != null) {
                Value[] in = copy.in(n);
                in[0] = copy.apply(pool.label(), pool.op(), in[0]).getFirst();
                copy.put(pool.out(0), copy.apply(n.label(), n.op(), in).getFirst());
            } else if (!poolOf.containsValue(n)) copy.move(n);
        }
        return copy.done();
    }

    /** The average after a convolution that it commutes with. */
    private static Optional<Node> poolAfter(Node n, Readers readers) {
        if (!(n.op() instanceof Conv c) || !isPoint(c)) return Optional.empty();
        return readers.only(n.out(0)).filter(
                p -> p.op() instanceof AvgPool a && a.window().padding().stream().allMatch(i -> i == 0));
    }

    private static boolean isPoint(Conv c) {
        return c.window().volume() == 1 && c.window().stride().stream().allMatch(i -> i == 1)
                && c.window().padding().stream().allMatch(i -> i == 0);
    }
}
