package isthmus.backend;

import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** Where a plan has put things. */
public interface Addresses {
    /** Memory of a value: weights row-major, everything else channels-last. */
    MemorySegment of(Value value);

    /** A parameter's copy in the type that is computed with, if the backend keeps one; see {@link Backend#computeCopy}. */
    default Optional<MemorySegment> computed(Value value, DType type) {
        return Optional.empty();
    }

    /**
     * How many elements the rows of a value (each one position's channels) are apart: as many as it has channels, unless the
     * backend has said that the kernel {@linkplain Backend#takesRowsApart takes} others.
     */
    long stride(Value value);

    /** The kernel's scratch memory, at least as large as it asked for. */
    MemorySegment scratch();

    /** The numbers that change from step to step; see {@link StepScalars}. */
    StepScalars scalars();
}
