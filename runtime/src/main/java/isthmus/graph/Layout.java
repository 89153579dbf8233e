package isthmus.graph;

import isthmus.backend.Backend;
import isthmus.op.Concat;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * Which values lie inside the memory of others, so that nothing has to be copied there: views; parts of a concatenation,
 * which are columns of its rows (a row is one position's channels); slices; and results that take over the memory of what
 * their node reads as the last one. Kernels are given such values only if the backend says that they take them.
 */
final class Layout {
    private static final int OWN = -1;

    private final Graph graph;
    private final Function<Value, DType> types;
    private final Predicate<Value> pinned;
    private final Backend backend;
    private final Readers readers;
    /** The value in whose memory a value lies, or OWN; and at which of its columns. */
    private final int[] parent;
    private final long[] column;
    /** Values that are one memory under two names: their rows are as they are. */
    private final boolean[] rigid;
    /** Nodes that have nothing to do. */
    private final boolean[] idle;
    private final int[] made;
    private final int[] lastRead;

    /** Where all values lie, given which live outside the arena. */
    Layout(Graph graph, Function<Value, DType> types, Predicate<Value> pinned, Backend backend, Rewrites rewrites) {
        this.graph = graph;
        this.types = types;
        this.pinned = pinned;
        this.backend = backend;
        this.readers = new Readers(graph);
        int values = graph.values().size();
        this.parent = new int[values];
        Arrays.fill(parent, OWN);
        this.column = new long[values];
        this.rigid = new boolean[values];
        this.idle = new boolean[graph.nodes().size()];
        this.made = new int[values];
        this.lastRead = new int[values];
        readings();
        views();
        if (rewrites.has(Rewrite.CHANNEL_BLOCKS)) {
            parts();
            slices();
        }
        if (rewrites.has(Rewrite.IN_PLACE)) takeOver();
        for (int i = 0; i < idle.length; i++)
            idle[i] |= isGathered(graph.nodes().get(i));
    }

    private void readings() {
        Arrays.fill(made, -1);
        Arrays.fill(lastRead, -1);
        for (int i = 0; i < graph.nodes().size(); i++) {
            for (Value v : graph.nodes().get(i).inputs())
                lastRead[v.id()] = i;
            for (Value v : graph.nodes().get(i).outputs())
                made[v.id()] = i;
        }
        for (Value v : graph.values())
            if (readers.isKept(v)) lastRead[v.id()] = Integer.MAX_VALUE;
    }

    private void views() {
        for (int i = 0; i < idle.length; i++) {
            Node n = graph.nodes().get(i);
            if (!isView(n) || pinned.test(n.out(0))) continue;
            idle[i] = true;
            place(n.out(0), n.in(0), 0);
            rigid[n.in(0).id()] = true;
            rigid[n.out(0).id()] = true;
        }
    }

    private boolean isView(Node n) {
        return n.op().isView(n.inputs().stream().map(Value::spec).toList())
                && types.apply(n.in(0)) == types.apply(n.out(0));
    }

    /** Later concatenations first: of values that grow into one another, all lie in the last. */
    private void parts() {
        for (Node n : graph.nodes().reversed()) {
            if (!(n.op() instanceof Concat) || pinned.test(n.out(0))) continue;
            long at = 0;
            for (Value part : n.inputs()) {
                boolean once = n.inputs().indexOf(part) == n.inputs().lastIndexOf(part);
                if (once && isFree(part) && isAligned(n.out(0), at) && isStretchable(part)) place(part, n.out(0), at);
                at += Concat.channels(part.shape());
            }
        }
    }

    private void slices() {
        for (int i = 0; i < idle.length; i++) {
            Node n = graph.nodes().get(i);
            if (!(n.op() instanceof Concat.Slice s) || pinned.test(n.in(0))) continue;
            Value out = n.out(0);
            if (!isFree(out) || !isAligned(n.in(0), s.first())
                    || !readers.of(out).stream().allMatch(r -> takesRowsApart(r, out)))
                continue;
            idle[i] = true;
            place(out, n.in(0), s.first());
        }
    }

    /** Whether a value may be given a place. */
    private boolean isFree(Value v) {
        return v.role() == Value.Role.RESULT && parent[v.id()] == OWN && !rigid[v.id()] && !pinned.test(v)
                && !readers.isKept(v);
    }

    /** Whether rows that begin at a column of another value's lie as the backend needs it. */
    private boolean isAligned(Value whole, long at) {
        long width = Concat.channels(whole.shape());
        return (width | at) * types.apply(whole).bytes() % backend.rowAlignment() == 0;
    }

    /** Whether all who write and read a value take its rows further apart than they are long. */
    private boolean isStretchable(Value v) {
        return takesRowsApart(graph.nodes().get(made[v.id()]), v)
                && readers.of(v).stream().allMatch(r -> takesRowsApart(r, v));
    }

    private boolean takesRowsApart(Node n, Value v) { return backend.takesRowsApart(n, v, types); }

    private void takeOver() {
        List<List<Value>> tenants = new ArrayList<>();
        for (int i = 0; i < graph.values().size(); i++)
            tenants.add(new ArrayList<>());
        graph.values().forEach(v -> tenants.get(root(v)).add(v));
        for (int i = 0; i < idle.length; i++) {
            Node n = graph.nodes().get(i);
            if (idle[i] || n.outputs().isEmpty()) continue;
            Value out = n.out(0);
            int from = backend.overwritten(n, types);
            if (from < 0 || !isFree(out) || !canTakeOver(i, n.in(from), out, tenants)) continue;
            place(out, n.in(from), 0);
            List<Value> joining = tenants.get(out.id());
            tenants.get(root(out)).addAll(joining);
        }
    }

    /** Whether node i may write its result over one of its inputs: nobody else may want what lies there. */
    private boolean canTakeOver(int i, Value in, Value out, List<List<Value>> tenants) {
        Value root = graph.values().get(root(in));
        if (root.role() != Value.Role.RESULT || pinned.test(root) || types.apply(in) != types.apply(out)
                || !in.shape().equals(out.shape()))
            return false;
        boolean apart = stride(in) != Concat.channels(in.shape());
        if (apart && !isStretchable(out)) return false;
        Node n = graph.nodes().get(i);
        for (Value v : tenants.get(root.id())) {
            if (!overlap(v, in)) continue;
            boolean reads = lastRead[v.id()] == i && (v.equals(in)
                    ? readers.of(in).stream().filter(n::equals).count() > 1
                    : n.inputs().contains(v));
            if (lastRead[v.id()] > i || made[v.id()] > i || reads) return false;
        }
        return true;
    }

    /** Whether two values with one root share columns. */
    private boolean overlap(Value a, Value b) {
        return position(a) < position(b) + Concat.channels(b.shape())
                && position(b) < position(a) + Concat.channels(a.shape());
    }

    /** A concatenation all of whose parts lie where it wants them. */
    private boolean isGathered(Node n) {
        if (!(n.op() instanceof Concat)) return false;
        return n.inputs().stream().allMatch(v -> isInPlace(v, n.out(0)));
    }

    private void place(Value v, Value in, long at) {
        parent[v.id()] = in.id();
        column[v.id()] = at;
    }

    /** Whether a part of a concatenation lies inside its result. */
    boolean isInPlace(Value part, Value whole) {
        return parent[part.id()] == whole.id();
    }

    /** The value in whose memory v lies in the end: itself, if in its own. */
    int root(Value v) {
        int at = v.id();
        while (parent[at] != OWN)
            at = parent[at];
        return at;
    }

    /** The first of its root's columns that v takes. */
    long position(Value v) {
        long sum = 0;
        for (int at = v.id(); parent[at] != OWN; at = parent[at])
            sum += column[at];
        return sum;
    }

    /** How many elements its rows are apart. */
    long stride(Value v) {
        Value root = graph.values().get(root(v));
        return Concat.channels((root.shape().elements() == v.shape().elements() ? v : root).shape());
    }

    /** Elements from its first to its last, both included. */
    long extent(Value v) {
        long channels = Concat.channels(v.shape());
        return (v.shape().elements() / channels - 1) * stride(v) + channels;
    }

    /** Whether node i has nothing to do. */
    boolean isIdle(int i) { return idle[i]; }
}
