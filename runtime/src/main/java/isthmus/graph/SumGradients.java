package isthmus.graph;

import isthmus.op.Add;
import isthmus.op.NormBackward;
import isthmus.op.Node;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Lets a normalisation's backward pass add what else flows into its input's gradient, which would be a pass of its own: the
 * other readers of a dense block's channels, the way around a block that normalises first. Runs after differentiation.
 */
final class SumGradients {
    private SumGradients() {}

    /** @param lowers whether the backend has a kernel for the joined op */
    static Graph apply(Graph from, Predicate<NormBackward> lowers) {
        Readers readers = new Readers(from);
        Map<Node, Node> passBySum = new HashMap<>();
        Set<Node> joined = new HashSet<>();
        for (Node n : from.nodes()) {
            if (!(n.op() instanceof NormBackward b) || b.adds() || !lowers.test(b.adding())) continue;
            Node sum = readers.only(n.out(0)).orElse(null);
            if (sum == null || !(sum.op() instanceof Add) || passBySum.containsKey(sum)) continue;
            // The joined op runs where the sum stood: whoever reads its other results would come too early.
            if (n.outputs().stream().skip(1).anyMatch(v -> !readers.of(v).isEmpty())) continue;
            passBySum.put(sum, n);
            joined.add(n);
        }
        if (joined.isEmpty()) return from;
        GraphCopy copy = new GraphCopy(from);
        for (Node n : from.nodes()) {
            if (passBySum.containsKey(n)) emit(copy, passBySum.get(n), n);
            else if (!joined.contains(n)) copy.move(n);
        }
        return copy.done();
    }

    private static void emit(GraphCopy copy, Node pass, Node sum) {
        List<Value> in = new ArrayList<>(List.of(copy.in(pass)));
        in.add(copy.of(sum.in(sum.in(0).equals(pass.out(0)) ? 1 : 0)));
        copy.replace(pass, ((NormBackward) pass.op()).adding(), in.toArray(Value[]::new));
        copy.put(sum.out(0), copy.of(pass.out(0)));
    }
}
