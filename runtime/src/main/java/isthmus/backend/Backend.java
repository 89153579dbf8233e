package isthmus.backend;

import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.ToLongFunction;

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

    /**
     * The same where kernels are made for how far rows are apart, too.
     *
     * @param strides elements between the rows of each value, as {@link Addresses#stride} will say
     */
    default Optional<Kernel> prepare(Node node, Function<Value, DType> types, ToLongFunction<Value> strides) {
        return prepare(node, types);
    }

    /** Whether this backend has a kernel for an op, of those that rewrites make and not every backend has. */
    default boolean lowers(Op op) {
        return true;
    }

    /**
     * Whether the backend's kernels of a convolution or a pool, and of its gradients, can normalise what it reads on the way;
     * see {@link isthmus.op.Normalized}.
     */
    default boolean joinsNorm(Normalize norm, Node reader, Precision precision) { return false; }

    /** Whether the backend's kernel of a node can settle one of its operands; see {@link isthmus.op.Settled}. */
    default boolean settles(Node node, int operand, Precision precision) {
        return false;
    }

    /** Whether the backend's kernel of a node takes the statistics of what it writes; see {@link isthmus.op.Measured}. */
    default boolean measures(Node node, Precision precision) {
        return false;
    }

    /**
     * Whether the node's kernel reads or writes this value where its rows (each one position's channels) are further apart
     * than they are long, and begin at any element that {@link #rowAlignment} allows: {@link Addresses#stride}.
     */
    default boolean takesRowsApart(Node node, Value value, Function<Value, DType> types) { return false; }

    /** Of how many bytes the beginning and the distance of such rows are multiples. */
    default int rowAlignment() {
        return 1;
    }

    /** The input over which the node's kernel may write its first result; -1 if there is none. */
    default int overwritten(Node node, Function<Value, DType> types) {
        return -1;
    }

    /**
     * Zeroed memory that kernels and the host share, owned by the arena. On a device with memory of its own it is a pair of
     * twins: the segment is the host's, and {@link #toDevice} and {@link #toHost} keep the two alike.
     */
    MemorySegment allocate(long bytes, Arena arena);

    /** Memory that kernels alone use, owned by the arena; not to be read or written by the host unless it is the host's. */
    default MemorySegment workspace(long bytes, Arena arena) {
        return allocate(bytes, arena);
    }

    /** Where kernels that can be bound anew wait for their next program; nothing where they cannot. */
    default Optional<Shelf> shelf() {
        return Optional.empty();
    }

    /** Whether the device has memory of its own. */
    default boolean hasOwnMemory() { return false; }

    /** Where kernels find what lies in (a part of) shared memory. */
    default MemorySegment onDevice(MemorySegment shared) {
        return shared;
    }

    /**
     * Before kernels work on shared memory: brings the device's twin up to date if the host may have written since
     * {@link #toHost}, and expects kernels to write from now on.
     */
    default void toDevice(MemorySegment shared) {}

    /**
     * Before the host works on shared memory: waits, brings the host's twin up to date if kernels may have written since
     * {@link #toDevice}, and expects the host to write from now on.
     */
    default void toHost(MemorySegment shared) {}

    /** Copies (a part of) shared memory to the device, for what the host writes before every step. */
    default void upload(MemorySegment shared) {}

    /** Waits and copies (a part of) shared memory to the host, for what the host reads after a step. */
    default void download(MemorySegment shared) {}

    /**
     * The same calls to be made again and again: a device may note them once and replay them. They may not allocate, wait or
     * read, and their arguments never change.
     */
    default Repeated repeatable(Runnable calls) { return calls::run; }

    /** Waits until all that was asked for is done. */
    default void synchronize() {}

    /** A clock of the device's own time. */
    default Stopwatch stopwatch() { return new HostStopwatch(this); }

    /** The arithmetic of weights and their gradients, on shared memory. */
    default WeightMath math() {
        return WeightMath.HOST;
    }

    /**
     * Whole training steps without the host, where the device can; memory of its own is the arena's. Empty: the host drives each
     * step by {@link #math}.
     */
    default Optional<DeviceUpdate> deviceUpdate(DeviceUpdate.Plan plan, Arena arena) { return Optional.empty(); }

    /** A way for batches whose parts have at most so many bytes; empty where the host's memory is the device's. */
    default Optional<Feed> feed(long[] bytes, Arena arena) {
        return Optional.empty();
    }

    /**
     * Where kernels find a parameter in the type that they compute with: matrices row-major, filters as {@code [O,taps,I]}. It is
     * up to date whenever the weights are {@linkplain #toDevice on the device}. Empty where kernels make their own copies.
     */
    default Optional<MemorySegment> computeCopy(WeightBuffer weights, String parameter, DType type) {
        return Optional.empty();
    }

    /** What {@code amp} means on this device. */
    default Precision amp() { return Precision.BF16; }

    /** Why the device can do nothing more for this process, as when a GPU was lost; empty if it can. To be asked after a failure. */
    default Optional<String> loss() {
        return Optional.empty();
    }

    /** Bytes that {@link #allocate} can still give without taking them from others. */
    long freeBytes();

    /** Why half precision is no faster than float32 on this device; empty if it is. */
    Optional<String> halfProblem();

    /** Calls that are made again and again. */
    interface Repeated extends Runnable, AutoCloseable {
        @Override
        default void close() {}
    }

    /** Measures how long the device takes from one point of its work to another. */
    interface Stopwatch extends AutoCloseable {
        /** What is asked for from now on is measured. */
        void start();

        /** What is asked for from now on is not. */
        void stop();

        /** Waits for what is measured; its time, idle time in between included. */
        double seconds();

        @Override
        default void close() {}
    }

    /** To be called by a thread before it runs kernels. */
    void enter();

    @Override
    void close();
}
