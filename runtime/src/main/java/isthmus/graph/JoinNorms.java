package isthmus.graph;

import isthmus.op.Activation;
import isthmus.op.AvgPool;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.MaxPool;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Normalized;
import isthmus.op.Op;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiPredicate;

/**
 * Joins batch normalisation and ReLU to the convolution or the pool that alone reads them, and their backward pass to
 * its gradient: neither the normalised value nor its gradient is ever in memory. What the backward pass needs sums over the whole batch
 * for is owed until somebody else than another such pass reads the gradient; in a dense block that is once a channel
 * rather than once a layer above it. Runs after differentiation, or on a graph without gradients.
 */
final class JoinNorms {
    /** A gradient of x on which {@code slope x + shift} is owed; x in the old graph. */
    private record Owed(Value dx, Value x, Value slope, Value shift) {}

    private final Graph from;
    private final GraphCopy copy;
    private final Readers readers;
    /** By what reads a norm, forward and for a weight gradient. */
    private final Map<Node, Node> norms = new HashMap<>();
    /** By a norm's backward pass: what makes the gradient that it reads. */
    private final Map<Node, Node> data = new HashMap<>();
    private final Set<Node> gone = new HashSet<>();
    /** By the id of a value of the old graph. */
    private final Map<Integer, Owed> owed = new HashMap<>();

    private JoinNorms(Graph from) {
        this.from = from;
        this.copy = new GraphCopy(from);
        this.readers = new Readers(from);
    }

    /** @param joins whether the backend's kernels of a convolution or a pool, and of its gradients, normalise on the way */
    static Graph apply(Graph from, BiPredicate<Normalize, Node> joins) {
        return new JoinNorms(from).run(joins);
    }

    private Graph run(BiPredicate<Normalize, Node> joins) {
        for (Node n : from.nodes())
            if (n.op() instanceof Normalize z && !z.residual() && z.activation() != Activation.SILU) find(n, joins);
        if (gone.isEmpty()) return from;
        for (Node n : from.nodes())
            if (!gone.contains(n)) emit(n);
        return copy.done();
    }

    private void find(Node norm, BiPredicate<Normalize, Node> joins) {
        Value a = norm.out(0);
        List<Node> all = readers.of(a);
        Optional<Node> reader = all.stream()
                .filter(n -> isReader(n.op()) && n.in(0).equals(a)).findFirst();
        if (readers.isKept(a) || reader.isEmpty() || !joins.test((Normalize) norm.op(), reader.get())) return;
        List<Node> rest = all.stream().filter(n -> !n.equals(reader.get())).toList();
        if (rest.size() > 1 || !rest.stream().allMatch(n -> n.op() instanceof Conv.BackwardWeights)) return;
        all.forEach(n -> norms.put(n, norm));
        gone.add(norm);
        from.nodes().stream().filter(n -> isBackward(n, norm) && !readers.isKept(n.out(0))).findFirst()
                .ifPresent(b -> readers.producer(b.in(1)).filter(d -> readers.only(d.out(0)).isPresent()
                        && isData(d.op()))
                        .ifPresent(d -> {
                            data.put(b, d);
                            gone.add(d);
                        }));
    }

    private static boolean isReader(Op op) {
        return op instanceof Conv || op instanceof AvgPool || op instanceof MaxPool;
    }

    private static boolean isData(Op op) {
        return op instanceof Conv.BackwardData || op instanceof AvgPool.BackwardPass
                || op instanceof MaxPool.BackwardPass;
    }

    private static boolean isBackward(Node n, Node norm) {
        return n.op() instanceof Normalize.BackwardPass b && !b.masked() && !b.constant()
                && n.in(0).equals(norm.in(0)) && n.in(4).equals(norm.in(3));
    }

    private void emit(Node n) {
        Node norm = norms.get(n);
        if (norm != null) {
            List<Value> in = new ArrayList<>(List.of(copy.in(norm)));
            n.inputs().subList(1, n.inputs().size()).forEach(v -> in.add(settled(v)));
            copy.replace(n, new Normalized((Normalize) norm.op(), n.op()), in.toArray(Value[]::new));
        } else if (data.containsKey(n)) emit(n, data.get(n));
        else if (!(n.op() instanceof Concat.Slice s) || !slice(n, s)) {
            n.inputs().forEach(this::settled);
            copy.move(n);
        }
    }

    private void emit(Node back, Node made) {
        Normalize.BackwardPass b = (Normalize.BackwardPass) back.op();
        Value x = back.in(0);
        List<Value> in = new ArrayList<>(List.of(copy.of(x)));
        back.inputs().subList(2, 6).forEach(v -> in.add(copy.of(v)));
        made.inputs().forEach(v -> in.add(settled(v)));
        Owed before = b.adds() ? owed.get(back.inputs().getLast().id()) : null;
        boolean owes = before != null && before.x.equals(x);
        if (owes) in.addAll(List.of(before.dx, before.slope, before.shift));
        else if (b.adds()) in.add(settled(back.inputs().getLast()));
        Normalize norm = new Normalize(b.epsilon(), false, b.activation());
        List<Value> out = copy.apply(back.label(), new Normalized.Gradient(norm, made.op(), b.adds(), owes),
                in.toArray(Value[]::new));
        owed.put(back.out(0).id(), new Owed(out.get(0), x, out.get(1), out.get(2)));
        copy.put(back.out(1), out.get(3));
        copy.put(back.out(2), out.get(4));
    }

    /** The value in the new graph, of which nothing is owed. */
    private Value settled(Value v) {
        Owed o = owed.remove(v.id());
        if (o != null) {
            String label = readers.producer(v).orElseThrow().label();
            copy.put(v, copy.apply(label, new Normalized.Settle(), o.dx, copy.of(o.x), o.slope, o.shift).getFirst());
        }
        return copy.of(v);
    }

    /** Parts of what is owed on are owed on too, if they belong to a part of x. */
    private boolean slice(Node n, Concat.Slice s) {
        Owed o = owed.get(n.in(0).id());
        Optional<Value> x = o == null ? Optional.empty() : part(o.x, s);
        x.ifPresent(p -> {
            Value[] parts = Arrays.asList(o.dx, o.slope, o.shift).stream()
                    .map(v -> copy.apply(n.label(), s, v).getFirst()).toArray(Value[]::new);
            owed.put(n.out(0).id(), new Owed(parts[0], p, parts[1], parts[2]));
        });
        return x.isPresent();
    }

    /** The value that is just those channels of a concatenation. */
    private Optional<Value> part(Value x, Concat.Slice s) {
        Node concat = readers.producer(x).orElse(null);
        if (concat == null || !(concat.op() instanceof Concat)) return Optional.empty();
        int at = 0;
        for (Value v : concat.inputs()) {
            if (at == s.first() && Concat.channels(v.shape()) == s.channels()) return Optional.of(v);
            at += Concat.channels(v.shape());
        }
        return Optional.empty();
    }
}
