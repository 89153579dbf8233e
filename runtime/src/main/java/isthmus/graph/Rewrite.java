package isthmus.graph;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** What the compiler changes in a graph, or in where its values lie, without changing what it computes. */
public enum Rewrite {
    /** Normalisation, sum and activation in one pass; see {@link Fuse}. */
    NORM_FUSION,
    /** Averages before 1x1 convolutions, maxima before ReLUs; see {@link PoolFirst}. */
    POOL_FIRST,
    /** Statistics of every channel once; see {@link ShareStatistics}. */
    SHARED_STATISTICS,
    /** Sums of gradients in the backward pass of a normalisation; see {@link SumGradients}. */
    GRADIENT_SUMS,
    /** Squeeze-and-excitation in the passes of the normalisation before it; see {@link Gate}. */
    SQUEEZE_EXCITE,
    /** ReLU at the end of a linear layer's matrix product; see {@link FuseLinear}. */
    LINEAR_RELU,
    /** Batch normalisation on the way into a convolution or a pool, its backward pass on the way back; see {@link JoinNorms}. */
    NORMS_ON_THE_WAY,
    /** Statistics of a convolution's result while it is written; see {@link JoinStatistics}. */
    STATISTICS_ON_THE_WAY,
    /** Cheap values are computed again rather than kept; see {@link Recompute}. */
    RECOMPUTE,
    /** Parts of a concatenation lie inside it, and slices inside what they are cut from; see {@link Layout}. */
    CHANNEL_BLOCKS,
    /** Results take over the memory of what is read for the last time; see {@link Layout}. */
    IN_PLACE;

    /** The name that options use: {@code pool-first}. */
    public String option() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** The rewrite of that name, or an error that says which there are. */
    public static Rewrite of(String option) {
        return Arrays.stream(values()).filter(r -> r.option().equals(option)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException(
                        "no rewrite is called '" + option + "'; there are " + options()));
    }

    /** All names. */
    public static List<String> options() {
        return Arrays.stream(values()).map(Rewrite::option).collect(Collectors.toList());
    }
}
