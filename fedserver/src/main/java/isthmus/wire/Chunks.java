package isthmus.wire;

/**
 * How a long body is cut: equal chunks, the last one shorter.
 *
 * @param bytes length of the whole
 * @param chunkBytes length of a chunk
 */
public record Chunks(long bytes, int chunkBytes) {
    /** Smallest chunk size, in bytes. */
    public static final int LEAST = 64 << 10;
    /** Greatest chunk size, in bytes. */
    public static final int MOST = 16 << 20;
    /** What clients use unless told otherwise, in bytes. */
    public static final int USUAL = 1 << 20;

    /** How many there are. */
    public int count() {
        return Math.toIntExact(bytes / chunkBytes + (bytes % chunkBytes == 0 ? 0 : 1));
    }

    /** Where chunk {@code i} begins. */
    public long offset(int i) { return (long) i * chunkBytes; }

    /** How long chunk {@code i} is. */
    public int length(int i) {
        return (int) Math.min(chunkBytes, bytes - offset(i));
    }
}
