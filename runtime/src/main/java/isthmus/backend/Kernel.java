package isthmus.backend;

/** One node's work on a device: descriptors, algorithm and workspace are decided; only addresses are missing. */
public interface Kernel extends AutoCloseable {
    /** What will run, in the library's own words where it has some. */
    String implementation();

    /** Bytes of memory that the kernel needs while it runs and not after. */
    default long scratchBytes() { return 0; }

    /**
     * Fixes the addresses, before the first run; once, but on backends with a {@linkplain Backend#shelf shelf} again for every
     * program that the kernel serves.
     */
    void bind(Addresses addresses);

    /** Does the work. Allocates nothing. */
    void run();

    @Override
    default void close() {}
}
