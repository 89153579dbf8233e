package isthmus.graph;

import isthmus.op.Linear;
import isthmus.op.LinearRelu;
import isthmus.op.Node;
import isthmus.op.Op;
import isthmus.op.Relu;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Joins a ReLU to the linear layer before it: the matrix product's last step, where its result has not been written yet. Runs
 * after differentiation: the backward pass asks for the ReLU's result alone.
 */
final class FuseLinear {
    private FuseLinear() {}

    /** @param lowers whether the backend has a kernel for the joined op */
    static Graph apply(Graph from, Predicate<Op> lowers) {
        Readers readers = new Readers(from);
        Map<Node, Node> reluOf = new HashMap<>();
        for (Node n : from.nodes())
            if (n.op() instanceof Linear l && l.bias() && lowers.test(new LinearRelu(l)))
                readers.only(n.out(0)).filter(r -> r.op() instanceof Relu).ifPresent(r -> reluOf.put(n, r));
        if (reluOf.isEmpty()) return from;
        GraphCopy copy = new GraphCopy(from);
        for (Node n : from.nodes()) {
            Node relu = reluOf.get(n);
            if (relu != null)
                copy.put(relu.out(0), copy.apply(n.label(), new LinearRelu((Linear) n.op()), copy.in(n)).getFirst());
            else if (!reluOf.containsValue(n)) copy.move(n);
        }
        return copy.done();
    }
}
