package isthmus.graph;

import isthmus.op.Node;
import isthmus.op.Normalized;
import isthmus.op.Settled;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiPredicate;

/**
 * Lets those who read a gradient that was owed on settle it themselves, which would be a pass of its own, if all of them can. Runs
 * after {@link JoinNorms}.
 */
final class JoinSettles {
    private JoinSettles() {}

    /** @param settles whether the backend's kernel of a node can do so with one of its operands */
    static Graph apply(Graph from, BiPredicate<Node, Integer> settles) {
        Readers readers = new Readers(from);
        Map<Node, Node> settleByReader = new HashMap<>();
        Set<Node> gone = new HashSet<>();
        for (Node n : from.nodes()) {
            if (!(n.op() instanceof Normalized.Settle) || readers.isKept(n.out(0))) continue;
            List<Node> all = readers.of(n.out(0));
            if (all.stream().anyMatch(r -> settleByReader.containsKey(r)
                    || !settles.test(r, r.inputs().indexOf(n.out(0)))
                    || r.inputs().indexOf(n.out(0)) != r.inputs().lastIndexOf(n.out(0))))
                continue;
            all.forEach(r -> settleByReader.put(r, n));
            gone.add(n);
        }
        if (gone.isEmpty()) return from;
        GraphCopy copy = new GraphCopy(from);
        for (Node n : from.nodes()) {
            if (settleByReader.containsKey(n)) emit(copy, n, settleByReader.get(n));
            else if (!gone.contains(n)) copy.move(n);
        }
        return copy.done();
    }

    private static void emit(GraphCopy copy, Node reader, Node settle) {
        int operand = reader.inputs().indexOf(settle.out(0));
        List<Value> in = new ArrayList<>();
        for (Value v : reader.inputs())
            in.add(copy.of(v.equals(settle.out(0)) ? settle.in(0) : v));
        settle.inputs().subList(1, settle.inputs().size()).forEach(v -> in.add(copy.of(v)));
        copy.replace(reader, new Settled(reader.op(), operand), in.toArray(Value[]::new));
    }
}
