package isthmus.profile;

import isthmus.graph.Graph;
import isthmus.nn.Model;
import isthmus.op.Add;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.Flatten;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.Node;
import isthmus.op.Normalization;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Memory traffic and least time of a training step in half precision at three levels of fusion, counted from a network's
 * forward graph, whatever our own compiler makes of it. Loss and optimizer are not counted, nor are caches.
 * <ul>
 * <li>A, frameworks that run op by op: a normalisation reads its input for the sums, then reads and writes; backward it reads
 * input and gradient for the sums, then both again, and writes. Activations, additions and concatenations are passes of their
 * own; where a value has several readers, each gradient after the first is added by a pass (two reads, one write).
 * <li>B, fused passes: normalisation, addition and activation are one pass beside the sums, masks are bits; concatenations are
 * in place; gradients are added where they are made (one read).
 * <li>C, fused convolutions: sums in the epilogue of what writes their input, normalisation and activation in the next
 * convolution's prologue, the activation's derivative and the sums of the backward pass in the epilogue of the data gradient.
 * What is left is a pass at a block's end (read both branches, write) and the normalisation's input gradient (two reads, one
 * write).
 * </ul>
 */
public final class FusionLevels {
    /** How much is fused. */
    public enum Level {
        /** Every op by itself. */
        A("op by op"),
        /** Passes over memory joined. */
        B("fused passes"),
        /** Passes joined to convolutions. */
        C("fused convolutions");

        private final String means;

        Level(String means) { this.means = means; }

        String means() { return means; }
    }

    /**
     * One level of one step.
     *
     * @param seconds sum over kernels of the least that bytes and operations allow
     */
    public record Total(Level level, long bytes, long flops, double seconds) {}

    private static final int HALF = 2;
    private static final int BITS = 16;

    private final Graph graph;
    private final Level level;
    private final Ceiling ceiling;
    private final Map<Integer, List<Node>> readers = new HashMap<>();
    private final Set<Integer> wanted = new HashSet<>();
    private final Set<Node> joined = new HashSet<>();
    private long bytes;
    private long flops;
    private double seconds;

    private FusionLevels(Graph graph, Level level, Ceiling ceiling) {
        this.graph = graph;
        this.level = level;
        this.ceiling = ceiling;
    }

    /** All three levels of a training step. */
    public static List<Total> of(Model model, int batch, Ceiling ceiling) {
        Graph graph = model.graph(batch, true);
        List<Total> all = new ArrayList<>();
        for (Level level : Level.values())
            all.add(new FusionLevels(graph, level, ceiling).count());
        return all;
    }

    private Total count() {
        for (Node n : graph.nodes()) {
            boolean learns = n.inputs().stream()
                    .anyMatch(v -> v.role() == Value.Role.PARAMETER || wanted.contains(v.id()));
            if (learns) n.outputs().forEach(v -> wanted.add(v.id()));
            if (!(n.op() instanceof UpdateStatistics || n.op() instanceof ChannelStatistics))
                n.inputs().forEach(v -> readers.computeIfAbsent(v.id(), k -> new ArrayList<>()).add(n));
        }
        for (Node n : graph.nodes())
            if (!joined.contains(n)) node(n);
        for (Value v : graph.values())
            if (wanted.contains(v.id())) gradientSums(v);
        return new Total(level, bytes, flops, seconds);
    }

    /** One kernel. */
    private void kernel(long moved, long computed, boolean matrix) {
        bytes += moved;
        flops += computed;
        seconds += ceiling.seconds(moved, computed, matrix);
    }

    private void pass(long moved) { kernel(moved, 0, false); }

    private static long size(Value v) {
        return v.shape().elements() * (v.spec().kind() == Kind.ACTIVATION ? HALF : Float.BYTES);
    }

    private boolean wants(Value v) { return wanted.contains(v.id()); }

    private void node(Node n) {
        switch (n.op()) {
            case Conv c -> product(n);
            case Linear l -> product(n);
            case ChannelStatistics s -> {
                if (level != Level.C) pass(size(n.in(0)));
            }
            case UpdateStatistics u -> {
            }
            case Normalization z -> normalize(n, z instanceof GroupNorm);
            case Relu r -> activation(n);
            case Silu s -> activation(n);
            case Sigmoid s -> activation(n);
            case Add a -> pass(3 * size(n.out(0)));
            case Concat c -> {
                if (level == Level.A) pass(2 * size(n.out(0)));
            }
            case Scale s -> scale(n);
            case GlobalAvgPool g -> globalPool(n);
            case Flatten f -> {
            }
            default -> {
                pass(size(n.in(0)) + size(n.out(0)));
                if (wants(n.in(0))) pass(size(n.in(0)) + size(n.out(0)));
            }
        }
    }

    /** Forward, data gradient, weight gradient. */
    private void product(Node n) {
        boolean matrix = Ceiling.isMatrix(n);
        long x = size(n.in(0));
        long y = size(n.out(0));
        long w = n.in(1).shape().elements();
        long work = n.op().flops(n.inputs().stream().map(Value::spec).toList(),
                n.outputs().stream().map(Value::spec).toList());
        kernel(x + y + w * HALF, work, matrix);
        if (wants(n.in(0))) kernel(x + y + w * HALF, work, matrix);
        kernel(x + y + w * Float.BYTES, work, matrix);
    }

    private void normalize(Node n, boolean group) {
        Chain chain = level == Level.A ? new Chain(null, null) : chain(n);
        long x = size(n.in(0));
        long mask = chain.add == null ? 0 : x / BITS;
        long residual = chain.add == null ? 0 : x;
        if (group && level != Level.C) pass(x);
        if (level != Level.C || chain.add != null) pass(x + residual + x + mask);
        // Sums of the backward pass: input and gradient; in an epilogue the gradient is at hand.
        if (level == Level.C) pass(x + mask);
        else
            pass(2 * x + mask);
        // The input's gradient; with a residual the masked gradient is kept for it.
        pass(3 * x + (level == Level.B ? mask + residual : 0));
    }

    /** What follows a normalisation and joins it; either may be null. */
    private record Chain(Node add, Node activation) {}

    private Chain chain(Node n) {
        Node next = onlyReader(n.out(0));
        Node add = null;
        if (next != null && next.op() instanceof Add && !joined.contains(next)) {
            add = next;
            next = onlyReader(add.out(0));
        }
        boolean activates = next != null && (next.op() instanceof Relu || next.op() instanceof Silu);
        Node activation = activates ? next : null;
        if (add != null) joined.add(add);
        if (activation != null) joined.add(activation);
        return new Chain(add, activation);
    }

    private Node onlyReader(Value v) {
        List<Node> all = readers.getOrDefault(v.id(), List.of());
        return all.size() == 1 ? all.getFirst() : null;
    }

    private void activation(Node n) {
        long y = size(n.out(0));
        if (level == Level.C) {
            pass(y); // its derivative, in the epilogue of a data gradient
            return;
        }
        pass(2 * y);
        if (wants(n.in(0))) pass(3 * y);
    }

    /** A factor a channel, as in squeeze-excite. */
    private void scale(Node n) {
        long x = size(n.in(0));
        if (level == Level.C) {
            pass(x); // for the factors' gradient
            return;
        }
        pass(2 * x);
        // Op by op: the input's gradient, the products, their sums.
        if (level == Level.A) {
            pass(2 * x);
            pass(3 * x);
            pass(x);
        } else
            pass(3 * x);
    }

    private void globalPool(Node n) {
        if (level == Level.C) return;
        pass(size(n.in(0)));
        if (wants(n.in(0))) pass(size(n.in(0)));
    }

    private void gradientSums(Value v) {
        long more = readers.getOrDefault(v.id(), List.of()).size() - 1L;
        if (more > 0) pass(more * (level == Level.A ? 3 : 1) * size(v));
    }
}
