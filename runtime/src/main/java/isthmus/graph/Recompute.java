package isthmus.graph;

import isthmus.op.Cast;
import isthmus.op.GroupNorm;
import isthmus.op.Node;
import isthmus.op.Normalization;
import isthmus.op.Op;
import isthmus.op.Spec;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;

/**
 * Lets go of what is cheap to compute and not wanted for long, and computes it again where it is: a normalised activation
 * is read by the next convolution and then not until that one's weight gradient, and what it is made from is kept all the
 * while for the normalisation's own derivative (Chen et al. 2016). Taken are values that are alive when most memory is, the
 * largest that are longest away first, until all such are taken or the step's least time would grow by a hundredth. The second run
 * reads what the first has read, so it gives the same bits. Runs after differentiation and the other rewrites.
 */
final class Recompute {
    /** How much of the step's least time may be spent. */
    static final double SHARE = 1 / 100.0;
    /** Operations that a processor makes in half precision in the time in which it moves a byte. */
    private static final long BALANCE = 20;

    private final Graph from;
    private final int n;
    /** By value: the times for which it is kept; each begins with the node that makes it, the others read it. */
    private final Map<Integer, List<NavigableSet<Integer>>> stays = new HashMap<>();
    private final Map<Node, Integer> positions = new HashMap<>();
    private final List<Node> candidates = new ArrayList<>();
    /** By position: what is computed again before the node there. */
    private final Map<Integer, NavigableSet<Integer>> again = new HashMap<>();
    private double left;

    /** What makes a node's first result once more. */
    private record Run(Op op, List<Value> in) {
        /** Group normalisation need not take its statistics again. */
        static Run of(Node n) {
            if (!(n.op() instanceof GroupNorm g)) return new Run(n.op(), n.inputs());
            List<Value> in = new ArrayList<>(n.inputs());
            in.addAll(1, n.outputs().subList(1, 3));
            return new Run(g.again(), in);
        }

        long traffic(Node n) { return Recompute.traffic(op, in, n.outputs().subList(0, 1)); }
    }

    /** A node whose result may be dropped after {@code last} until {@code next}. */
    private record Absence(Node node, NavigableSet<Integer> stay, int last, int next) {
        double gain() { return (double) bytes(node.out(0).spec()) * (next - last); }
    }

    private Recompute(Graph from, double share) {
        this.from = from;
        this.n = from.nodes().size();
        Set<Value> changed = new HashSet<>();
        double cost = 0;
        for (int i = 0; i < n; i++) {
            Node node = from.nodes().get(i);
            positions.put(node, i);
            cost += Math.max(traffic(node.op(), node.inputs(), node.outputs()),
                    node.op().flops(specs(node.inputs()), specs(node.outputs())) / BALANCE);
            for (Value v : node.outputs())
                stays.put(v.id(), new ArrayList<>(List.of(new TreeSet<>(Set.of(i)))));
            for (Value v : node.inputs())
                if (v.role() == Value.Role.RESULT) stays.get(v.id()).getFirst().add(i);
            if (node.op() instanceof UpdateStatistics) changed.addAll(node.inputs());
        }
        this.left = share * cost;
        for (Value v : from.outputs().values())
            if (v.role() == Value.Role.RESULT) stays.get(v.id()).getFirst().add(n);
        // Gradients of weights lie elsewhere, and are no candidates.
        from.parameterGradients().values().forEach(v -> stays.remove(v.id()));
        for (Node node : from.nodes())
            if ((node.op() instanceof Normalization || node.op() instanceof Cast) && stays.containsKey(node.out(0).id())
                    && node.inputs().stream().noneMatch(v -> v.role() == Value.Role.PARAMETER && changed.contains(v)))
                candidates.add(node);
    }

    static Graph apply(Graph from) { return apply(from, SHARE); }

    /** With a share of the step's least time. */
    static Graph apply(Graph from, double share) {
        return new Recompute(from, share).run();
    }

    private Graph run() {
        for (Absence a = best(peak()); a != null; a = best(peak()))
            take(a);
        if (again.isEmpty()) return from;
        GraphCopy copy = new GraphCopy(from);
        for (int i = 0; i < n; i++) {
            for (int position : again.getOrDefault(i, new TreeSet<>())) {
                Node node = from.nodes().get(position);
                Run run = Run.of(node);
                copy.put(node.out(0), copy.apply(node.label(), run.op,
                        run.in.stream().map(copy::of).toArray(Value[]::new)).getFirst());
            }
            copy.move(from.nodes().get(i));
        }
        return copy.done();
    }

    /** The node during which most is alive. */
    private int peak() {
        long[] change = new long[n + 2];
        for (Value v : from.values()) {
            for (NavigableSet<Integer> stay : stays.getOrDefault(v.id(), List.of())) {
                change[stay.first()] += bytes(v.spec());
                change[stay.last() + 1] -= bytes(v.spec());
            }
        }
        int peak = 0;
        long most = 0;
        long alive = 0;
        for (int i = 0; i < n; i++) {
            alive += change[i];
            if (alive > most) {
                most = alive;
                peak = i;
            }
        }
        return peak;
    }

    /** What to drop over the peak; null if there is nothing. */
    private Absence best(int peak) {
        Absence best = null;
        for (Node node : candidates) {
            if (Run.of(node).traffic(node) > left) continue;
            for (NavigableSet<Integer> stay : stays.get(node.out(0).id())) {
                Integer last = stay.lower(peak);
                Integer next = stay.higher(peak);
                if (last == null || next == null || next == n || stay.contains(peak) || !canRun(node, next)) continue;
                Absence a = new Absence(node, stay, last, next);
                if (best == null || a.gain() > best.gain()) best = a;
            }
        }
        return best;
    }

    /** Whether all that a node reads is there at another time anyway. */
    private boolean canRun(Node node, int at) {
        return Run.of(node).in.stream().allMatch(v -> v.role() != Value.Role.RESULT || stay(v, at) != null);
    }

    private NavigableSet<Integer> stay(Value v, int at) {
        for (NavigableSet<Integer> s : stays.getOrDefault(v.id(), List.of()))
            if (s.first() <= at && at <= s.last()) return s;
        return null;
    }

    private void take(Absence a) {
        left -= Run.of(a.node).traffic(a.node);
        var later = new TreeSet<>(a.stay.tailSet(a.next));
        a.stay.removeAll(later);
        stays.get(a.node.out(0).id()).add(later);
        for (Value v : Run.of(a.node).in)
            if (v.role() == Value.Role.RESULT) stay(v, a.next).add(a.next);
        again.computeIfAbsent(a.next, at -> new TreeSet<>()).add(positions.get(a.node));
    }

    private static long traffic(Op op, List<Value> in, List<Value> out) {
        long sum = 0;
        for (int i = 0; i < in.size(); i++)
            sum += op.readings(i) * bytes(in.get(i).spec());
        for (Value v : out)
            sum += bytes(v.spec());
        return sum;
    }

    /** In half precision; which precision it is changes little of what stands beside what. */
    private static long bytes(Spec s) {
        return s.shape().elements() * switch (s.kind()) {
            case ACTIVATION -> 2;
            case BYTE -> 1;
            case FLOAT, LABEL -> 4;
        };
    }

    private static List<Spec> specs(List<Value> values) { return values.stream().map(Value::spec).toList(); }
}
