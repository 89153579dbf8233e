package isthmus.backend.cuda;

import isthmus.backend.Addresses;
import isthmus.backend.NormRows;
import isthmus.op.AvgPool;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.MaxPool;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;

/** Rows, each one position's channels, that lie in memory so many elements apart. */
record Rows(MemorySegment at, long apart) {
    /** Of how many bytes the beginning and the distance of rows are multiples: what packs and cuDNN's engines need. */
    static final int ALIGNMENT = 16;
    /** In the place of what is not there. */
    static final Rows NONE = new Rows(MemorySegment.NULL, 0);

    /** Those of a value. */
    static Rows of(Addresses a, Value v) { return new Rows(a.of(v), a.stride(v)); }

    /** The same from a column on. */
    Rows column(long first, DType type) {
        return new Rows(at.asSlice(first * type.bytes()), apart);
    }

    /** Whether each begins where a pack of 16 bytes may. */
    boolean isAligned(DType type) {
        return (at.address() | apart * type.bytes()) % ALIGNMENT == 0;
    }

    /** Whether a node's kernel takes a value's rows further apart than they are long. */
    static boolean mayBeApart(Node n, Value v) {
        return switch (n.op()) {
            case Concat c -> true;
            case Concat.Slice s -> true;
            case Conv c -> c.groups() == 1 && !c.bias() && !v.equals(n.in(1));
            case Conv.BackwardData c -> c.groups() == 1 && !v.equals(n.in(1));
            case Conv.BackwardWeights c -> c.groups() == 1 && !c.bias() && !v.equals(n.out(0));
            case MaxPool p -> v.equals(n.in(0)) || v.equals(n.out(0));
            case MaxPool.BackwardPass p -> v.equals(n.in(0)) || v.equals(n.out(0));
            case AvgPool p -> true;
            case AvgPool.BackwardPass p -> true;
            default -> NormRows.takesRowsApart(n, v);
        };
    }
}
