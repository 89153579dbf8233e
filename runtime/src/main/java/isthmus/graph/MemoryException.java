package isthmus.graph;

import java.util.Locale;

/** A plan that needs more memory than the device has free; thrown before anything was allocated. */
public final class MemoryException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final long needed;
    private final long free;

    /** For a need and what is free, in bytes. */
    public MemoryException(String what, long needed, long free, String cure) {
        super(String.format(Locale.ROOT, "%s needs %.2f GB, %.2f GB are free; %s", what, needed / 1e9, free / 1e9,
                cure));
        this.needed = needed;
        this.free = free;
    }

    /** Bytes that the plan needs. */
    public long needed() { return needed; }

    /** Bytes that were free. */
    public long free() { return free; }
}
