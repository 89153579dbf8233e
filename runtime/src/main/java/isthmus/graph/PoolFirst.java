package isthmus.graph;

import isthmus.op.AvgPool;
import isthmus.op.Conv;
import isthmus.op.MaxPool;
import isthmus.op.Node;
import isthmus.op.Relu;
import isthmus.op.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Pools before what commutes with them, which then has fewer positions to work on. An average and a 1x1 convolution, as in
 * DenseNet's transitions: both are linear, one over the channels of a position and one over the positions of a channel; a bias
 * passes through an average unchanged as long as no zeros of a padding are averaged with it. A maximum and a ReLU: the ReLU
 * never turns the order of two values round, and where it makes them equal it lets no gradient through.
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
                List<Value> pooled = copy.apply(pool.label(), pool.op(), in[0]);
                for (int i = 1; i < pooled.size(); i++)
                    copy.put(pool.out(i), pooled.get(i));
                in[0] = pooled.getFirst();
                copy.put(pool.out(0), copy.apply(n.label(), n.op(), in).getFirst());
            } else if (!poolOf.containsValue(n)) copy.move(n);
        }
        return copy.done();
    }

    /** The pool after a node that it commutes with. */
    private static Optional<Node> poolAfter(Node n, Readers readers) {
        return switch (n.op()) {
            case Relu r -> readers.only(n.out(0)).filter(p -> p.op() instanceof MaxPool);
            case Conv c when isPoint(c) -> readers.only(n.out(0)).filter(
                    p -> p.op() instanceof AvgPool a && a.window().padding().stream().allMatch(i -> i == 0));
            default -> Optional.empty();
        };
    }

    private static boolean isPoint(Conv c) {
        return c.window().volume() == 1 && c.window().stride().stream().allMatch(i -> i == 1)
                && c.window().padding().stream().allMatch(i -> i == 0);
    }
}
