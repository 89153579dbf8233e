package isthmus.graph;

import isthmus.op.Activation;
import isthmus.op.Add;
import isthmus.op.Node;
import isthmus.op.Normalization;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Silu;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Joins what follows a normalisation into it: {@code normalise, (add,) relu} or {@code normalise, silu} becomes one pass
 * over memory forward and one backward. Runs before differentiation, so the joined op's own derivative serves.
 */
public final class Fuse {
    /** A normalisation and what is joined to it; the joined op runs where {@code last} stood. */
    private record Chain(Node normalize, Node add, Node activate) {
        Node last() { return activate != null ? activate : add; }

        Activation activation() { return activate == null ? Activation.NONE : Fuse.activation(activate.op()); }
    }

    private final Graph from;
    private final GraphCopy copy;
    private final Readers readers;
    private final Map<Node, Chain> chainByLast = new HashMap<>();
    private final Set<Node> joined = new HashSet<>();

    private Fuse(Graph from) {
        this.from = from;
        this.copy = new GraphCopy(from);
        this.readers = new Readers(from);
    }

    /** A graph that computes the same with fewer passes over memory. */
    public static Graph apply(Graph from) {
        return new Fuse(from).run();
    }

    private Graph run() {
        for (Node n : from.nodes())
            if (n.op() instanceof Normalization z && z.activation() == Activation.NONE && !z.residual()) findChain(n);
        for (Node n : from.nodes()) {
            Chain chain = chainByLast.get(n);
            if (chain != null) emit(chain);
            else if (!joined.contains(n)) copy.move(n);
        }
        return copy.done();
    }

    private void findChain(Node normalize) {
        // The joined op runs later: whoever reads the statistics would come too early.
        for (int i = 1; i < normalize.outputs().size(); i++)
            if (readers.isRead(normalize.out(i))) return;
        Node next = readers.only(normalize.out(0)).orElse(null);
        Node add = null;
        if (next != null && next.op() instanceof Add && !joined.contains(next)) {
            add = next;
            next = readers.only(add.out(0)).orElse(null);
        }
        boolean activates = next != null && activation(next.op()) != Activation.NONE
                && (add == null || next.op() instanceof Relu);
        if (add == null && !activates) return;
        Chain chain = new Chain(normalize, add, activates ? next : null);
        chainByLast.put(chain.last(), chain);
        joined.add(normalize);
        if (add != null) joined.add(add);
        if (activates) joined.add(next);
    }

    private static Activation activation(Op op) {
        return switch (op) {
            case Relu r -> Activation.RELU;
            case Silu s -> Activation.SILU;
            default -> Activation.NONE;
        };
    }

    private void emit(Chain chain) {
        Node n = chain.normalize;
        Normalization fused = ((Normalization) n.op()).with(chain.add != null, chain.activation());
        List<Value> in = new ArrayList<>(List.of(copy.in(n)));
        if (chain.add != null) in.add(copy.of(chain.add.in(chain.add.in(0).equals(n.out(0)) ? 1 : 0)));
        copy.put(chain.last().out(0), copy.apply(n.label(), fused, in.toArray(Value[]::new)).getFirst());
    }
}
