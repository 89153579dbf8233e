package isthmus.graph;

import isthmus.op.Node;
import isthmus.op.Op;
import isthmus.op.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A graph in the course of being written anew, node by node: what every rewrite works with. */
final class GraphCopy {
    private final Graph from;
    private final Graph to = new Graph();
    private final Map<Integer, Value> moved = new HashMap<>();

    /** Starts with the inputs and parameters. */
    GraphCopy(Graph from) {
        this.from = from;
        from.inputs().forEach((name, v) -> put(v, to.input(name, v.spec())));
        from.parameters().forEach((name, v) -> put(v, to.parameter(name, v.shape(), from.region(name))));
    }

    /** What stands for a value of the old graph; an error before it was put. */
    Value of(Value old) {
        Value now = moved.get(old.id());
        if (now == null) throw new IllegalStateException(old + " is read before it is made");
        return now;
    }

    /** The new values of a node's inputs. */
    Value[] in(Node n) {
        return n.inputs().stream().map(this::of).toArray(Value[]::new);
    }

    /** From here on {@code now} stands for {@code old}. */
    void put(Value old, Value now) { moved.put(old.id(), now); }

    /** Appends an op to the new graph. */
    List<Value> apply(String label, Op op, Value... in) {
        return to.apply(label, op, in);
    }

    /** Takes a node over as it is. */
    void move(Node n) { replace(n, n.op(), in(n)); }

    /** Puts another op in a node's place: its results stand for the node's, in their order. */
    void replace(Node n, Op op, Value... in) {
        List<Value> out = apply(n.label(), op, in);
        for (int i = 0; i < n.outputs().size(); i++)
            put(n.out(i), out.get(i));
    }

    /** The new graph, with the old one's outputs and gradients. */
    Graph done() {
        from.outputs().forEach((name, v) -> to.output(name, of(v)));
        from.parameterGradients().forEach((name, v) -> to.parameterGradients().put(name, of(v)));
        return to;
    }
}
