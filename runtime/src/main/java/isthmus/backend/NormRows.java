package isthmus.backend;

import isthmus.op.ChannelStatistics;
import isthmus.op.Conv;
import isthmus.op.GatedNorm;
import isthmus.op.GroupNorm;
import isthmus.op.MaxPool;
import isthmus.op.Measured;
import isthmus.op.Node;
import isthmus.op.NormBackward;
import isthmus.op.Normalization;
import isthmus.op.Normalized;
import isthmus.op.Op;
import isthmus.op.Settled;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import java.util.List;

/** What all backends' own kernels of normalisations have in common: which values they take in the memory of others. */
public final class NormRows {
    private NormRows() {}

    /**
     * Whether a kernel takes rows of x (and dx, and what is added to it) further apart than they are long; and single rows, of
     * one number a channel, wherever they begin. See {@link Backend#takesRowsApart}.
     */
    public static boolean takesRowsApart(Node n, Value v) { return takesRowsApart(n.op(), n.inputs().size(), n, v); }

    private static boolean takesRowsApart(Op op, int inputs, Node n, Value v) {
        return switch (op) {
            case Measured m -> isRow(v) || takesRowsApart(m.op(), inputs, n, v);
            case Settled s -> v.equals(n.in(inputs - Settled.BEHIND))
                    || takesRowsApart(s.op(), inputs - Settled.BEHIND, n, v);
            case ChannelStatistics s -> true;
            case UpdateStatistics s -> true;
            case Normalization z -> isRow(v) || takes(n, v, !z.residual());
            case GroupNorm.Again z -> isRow(v) || takes(n, v, !z.residual());
            case NormBackward b -> isRow(v) || takes(n, v, b.adds());
            case Normalized z -> isRow(v) || v.equals(n.in(0)) || (v.equals(n.out(0)) && writesRowsApart(z.op()))
                    || isGradient(z.op(), n, v);
            case Normalized.Gradient d -> isRow(v) || v.equals(n.in(0)) || v.equals(n.out(0))
                    || (d.adds() && v.equals(n.in(d.added(inputs)))) || isGradient(d.op(), n, v);
            case Normalized.Settle s -> true;
            default -> false;
        };
    }

    private static boolean writesRowsApart(Op op) { return op instanceof Conv || op instanceof MaxPool; }

    /** Winograd's gradients take dy so, those of one tap do not. */
    private static boolean isGradient(Op op, Node n, Value v) {
        boolean taps = switch (op) {
            case Conv.BackwardData d -> d.window().volume() > 1;
            case Conv.BackwardWeights w -> w.window().volume() > 1;
            default -> false;
        };
        return taps && v.equals(n.in(Normalized.OPERANDS));
    }

    private static boolean isRow(Value v) { return v.shape().rank() == 1; }

    /** Forward x, and y without a residual; backward x, dx and the last input where it is added: each in one role only. */
    private static boolean takes(Node n, Value v, boolean more) {
        boolean backward = n.op() instanceof NormBackward;
        int last = n.inputs().size() - 1;
        List<Value> others = n.inputs().subList(1, backward && more ? last : last + 1);
        if (others.contains(v)) return false;
        return v.equals(n.in(0)) || (v.equals(n.out(0)) && (backward || more))
                || (backward && more && v.equals(n.in(last)));
    }

    /** What is added to dx, or dy, may become dx. See {@link Backend#overwritten}. */
    public static int overwritten(Node n) {
        return overwritten(n.op(), n.inputs().size());
    }

    private static int overwritten(Op op, int inputs) {
        return switch (op) {
            case Settled s -> overwritten(s.op(), inputs - Settled.BEHIND);
            case NormBackward b -> b.adds() ? inputs - 1 : 1;
            case GatedNorm.BackwardPass b -> 1;
            case Normalized.Gradient d -> d.adds() ? d.added(inputs) : -1;
            case Normalized.Settle s -> 0;
            default -> -1;
        };
    }
}
