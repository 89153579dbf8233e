package isthmus.backend;

import isthmus.op.Value;
import java.lang.foreign.MemorySegment;

/** Where a plan has put things. */
public interface Addresses {
    /** Memory of a value: weights row-major, everything else channels-last. */
    MemorySegment of(Value value);

    /** The kernel's scratch memory, at least as large as it asked for. */
    MemorySegment scratch();

    /** The numbers that change from step to step; see {@link StepScalars}. */
    StepScalars scalars();
}
