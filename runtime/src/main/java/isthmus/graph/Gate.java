package isthmus.graph;

import isthmus.op.Add;
import isthmus.op.GatedNorm;
import isthmus.op.GlobalAvgPool;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Scale;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Joins squeeze-and-excitation's passes over a large value to those of the normalisation before it. In training the two parts
 * of the activated value's gradient meet inside the normalisation's backward pass, which makes the value again and so does not
 * need it kept; forward it is written, as its activation would else be computed twice. In evaluation it is not written at all.
 * Runs after differentiation, or on a graph without gradients.
 */
final class Gate {
    /** Where the activated value comes from, who reads it, and the way of its gradient; in evaluation there is none. */
    private record Site(Node norm, Node means, Node scale, Optional<Back> back) {}

    private record Back(Node scale, Node means, Node sum, Node norm) {}

    private final Graph from;
    private final GraphCopy copy;
    private final Readers readers;
    private final Map<Node, Site> sites = new HashMap<>();
    private final Set<Node> gone = new HashSet<>();

    private Gate(Graph from) {
        this.from = from;
        this.copy = new GraphCopy(from);
        this.readers = new Readers(from);
    }

    /** @param lowers whether the backend has kernels for the joined ops */
    static Graph apply(Graph from, Predicate<Op> lowers) {
        return new Gate(from).run(lowers);
    }

    private Graph run(Predicate<Op> lowers) {
        for (Node n : from.nodes())
            if (n.op() instanceof Normalize z && !z.residual()
                    && lowers.test(new GatedNorm.Means(z.epsilon(), z.activation())))
                site(n).ifPresent(this::claim);
        if (sites.isEmpty()) return from;
        for (Node n : from.nodes()) {
            if (sites.containsKey(n)) emit(sites.get(n), n);
            else if (!gone.contains(n)) copy.move(n);
        }
        return copy.done();
    }

    private void claim(Site s) {
        if (s.back.isEmpty()) {
            gone.add(s.norm);
            sites.put(s.means, s);
            sites.put(s.scale, s);
            return;
        }
        Back b = s.back.get();
        gone.add(b.means);
        gone.add(b.sum);
        sites.put(b.scale, s);
        sites.put(b.norm, s);
    }

    private Optional<Site> site(Node norm) {
        Value a = norm.out(0);
        List<Node> of = readers.of(a);
        Node means = reader(a, GlobalAvgPool.class);
        Node scale = reader(a, Scale.class);
        if (readers.isKept(a) || means == null || scale == null || !scale.in(0).equals(a)) return Optional.empty();
        if (of.size() == 2) return Optional.of(new Site(norm, means, scale, Optional.empty()));
        Node back = reader(a, Scale.BackwardPass.class);
        if (of.size() != 3 || back == null || !back.in(0).equals(a) || !back.in(1).equals(scale.in(1)))
            return Optional.empty();
        return back(norm, back).map(b -> new Site(norm, means, scale, Optional.of(b)));
    }

    /** The gradient's way: scaled, joined by the means' part, through the normalisation. */
    private Optional<Back> back(Node norm, Node scale) {
        Node sum = readers.only(scale.out(0)).orElse(null);
        if (sum == null || !(sum.op() instanceof Add)) return Optional.empty();
        Value other = sum.in(sum.in(0).equals(scale.out(0)) ? 1 : 0);
        Node means = readers.producer(other).orElse(null);
        Node back = readers.only(sum.out(0)).orElse(null);
        if (means == null || !(means.op() instanceof GlobalAvgPool.BackwardPass) || readers.only(other).isEmpty()
                || back == null || !(back.op() instanceof Normalize.BackwardPass b) || b.constant() || b.masked()
                || b.adds() || !back.in(1).equals(sum.out(0)) || !back.in(0).equals(norm.in(0)))
            return Optional.empty();
        return Optional.of(new Back(scale, means, sum, back));
    }

    /** The one reader of that kind. */
    private Node reader(Value v, Class<? extends Op> op) {
        List<Node> all = readers.of(v).stream().filter(n -> op.isInstance(n.op())).toList();
        return all.size() == 1 ? all.getFirst() : null;
    }

    private void emit(Site s, Node n) {
        Normalize z = (Normalize) s.norm.op();
        List<Value> in = new ArrayList<>(List.of(copy.in(s.norm)));
        if (n.equals(s.means)) replace(n, new GatedNorm.Means(z.epsilon(), z.activation()), in);
        else if (n.equals(s.scale)) {
            in.add(copy.of(n.in(1)));
            replace(n, new GatedNorm.Scaled(z.epsilon(), z.activation()), in);
        } else {
            Back b = s.back.orElseThrow();
            in.add(1, copy.of(b.scale.in(2)));
            if (n.equals(b.scale)) {
                Op factors = new GatedNorm.Factors(z.epsilon(), z.activation());
                copy.put(n.out(1), copy.apply(n.label(), factors, in.toArray(Value[]::new)).getFirst());
                return;
            }
            in.add(copy.of(s.scale.in(1)));
            in.add(copy.of(b.means.in(0)));
            replace(n, new GatedNorm.BackwardPass(z.epsilon(), z.activation()), in);
        }
    }

    private void replace(Node n, Op op, List<Value> in) { copy.replace(n, op, in.toArray(Value[]::new)); }
}
