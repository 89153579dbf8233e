package isthmus.graph;

import isthmus.backend.Backend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * One device's memory for the activations of several programs that never run at the same time: what one of them leaves, the
 * next overwrites, inputs and outputs included. It outlives the programs. Compile the one that needs most first: a later
 * one that needs more gets new memory, and the earlier keep the old.
 */
public final class Workspace implements AutoCloseable {
    private final Backend backend;
    private final Arena arena = Arena.ofShared();
    private MemorySegment memory = MemorySegment.NULL;
    private long total;

    /** An empty one. */
    public Workspace(Backend backend) { this.backend = backend; }

    /** Memory for a program of one plan. */
    MemorySegment take(long bytes) {
        long more = missing(bytes);
        if (more > 0) {
            memory = backend.workspace(more, arena);
            total += more;
        }
        return memory;
    }

    /** What would have to be allocated for a plan of so many bytes. */
    long missing(long bytes) {
        return bytes <= memory.byteSize() ? 0 : bytes;
    }

    /** Bytes that were allocated. */
    public long bytes() { return total; }

    @Override
    public void close() { arena.close(); }
}
