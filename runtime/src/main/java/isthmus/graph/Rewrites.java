package isthmus.graph;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/** The rewrites that a compilation applies: all, unless somebody compares. */
public final class Rewrites {
    /** System property that {@link #chosen} reads. */
    public static final String PROPERTY = "isthmus.rewrites";

    private final Set<Rewrite> applied;

    private Rewrites(Set<Rewrite> applied) { this.applied = Collections.unmodifiableSet(applied); }

    /** All of them. */
    public static Rewrites all() { return new Rewrites(EnumSet.allOf(Rewrite.class)); }

    /** These alone. */
    public static Rewrites only(Rewrite... some) {
        Set<Rewrite> set = EnumSet.noneOf(Rewrite.class);
        Collections.addAll(set, some);
        return new Rewrites(set);
    }

    /** What the system property says; all if it is not set. */
    public static Rewrites chosen() {
        return parse(System.getProperty(PROPERTY, "all"));
    }

    /**
     * Reads {@code all}, {@code none}, or names after commas: these alone, or, with a minus before each, all but these.
     */
    public static Rewrites parse(String text) {
        if (text.equals("all")) return all();
        if (text.equals("none")) return only();
        boolean without = text.startsWith("-");
        Set<Rewrite> set = without ? EnumSet.allOf(Rewrite.class) : EnumSet.noneOf(Rewrite.class);
        for (String name : text.split(",", -1)) {
            if (name.startsWith("-") != without)
                throw new IllegalArgumentException("rewrites '" + text
                        + "': either name those to apply, or all that are left out with a minus before each");
            if (without) set.remove(Rewrite.of(name.substring(1)));
            else
                set.add(Rewrite.of(name));
        }
        return new Rewrites(set);
    }

    /** Whether one is applied. */
    public boolean has(Rewrite r) { return applied.contains(r); }

    /** All of them that are applied. */
    public Set<Rewrite> applied() { return applied; }

    /** A forward graph, rewritten; to be differentiated after. */
    public Graph beforeGradients(Graph graph) {
        Graph g = graph;
        if (has(Rewrite.NORM_FUSION)) g = Fuse.apply(g);
        if (has(Rewrite.POOL_FIRST)) g = PoolFirst.apply(g);
        if (has(Rewrite.SHARED_STATISTICS)) g = ShareStatistics.apply(g);
        return g;
    }

    /**
     * A graph with its {@linkplain Gradients gradients}, or one that gets none, rewritten where the backend has the kernels in
     * this precision.
     */
    public Graph afterGradients(Graph graph, Backend backend, Precision precision) {
        Graph g = graph;
        if (has(Rewrite.SQUEEZE_EXCITE)) g = Gate.apply(g, backend::lowers);
        if (has(Rewrite.LINEAR_RELU)) g = FuseLinear.apply(g, backend::lowers);
        if (has(Rewrite.GRADIENT_SUMS)) g = SumGradients.apply(g, backend::lowers);
        if (has(Rewrite.NORMS_ON_THE_WAY)) {
            g = JoinNorms.apply(g, (norm, reader) -> backend.joinsNorm(norm, reader, precision));
            g = JoinSettles.apply(g, (reader, operand) -> backend.settles(reader, operand, precision));
        }
        if (has(Rewrite.STATISTICS_ON_THE_WAY)) g = JoinStatistics.apply(g, n -> backend.measures(n, precision));
        // A device's memory holds more than its step has time to spare.
        if (has(Rewrite.RECOMPUTE) && !backend.hasOwnMemory()) g = Recompute.apply(g);
        return g;
    }

    @Override
    public String toString() { return applied.stream().map(Rewrite::option).toList().toString(); }
}
