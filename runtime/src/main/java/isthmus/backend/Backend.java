package isthmus.backend;

import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Function;

/**
 * A device. Kernels are prepared for fixed shapes and element types, told their addresses once, and then run without
 * allocating. A backend and its kernels are used by one thread at a time.
 */
public interface Backend extends AutoCloseable {
    /** Short name, such as {@code cpu}. */
    String name();

    /**
     * The kernel for a node, or nothing if this backend has none.
     *
     * @param types the element type of each value
     */
    Optional<Kernel> prepare(Node node, Function<Value, DType> types);

    /** Zeroed device memory, owned by the arena. */
    MemorySegment allocate(long bytes, Arena arena);

    /** Bytes that {@link #allocate} can still give without taking them from others. */
    long freeBytes();

    /** Why half precision is no faster than float32 on this device; empty if it is. */
    Optional<String> halfProblem();

    /** To be called by a thread before it runs kernels. */
    void enter();

    @Override
    void close();
}
