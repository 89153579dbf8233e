package isthmus.wire;

import java.util.Map;

/**
 * Announces an update before its bytes. The site is the certificate's, so it does not stand here.
 *
 * @param round the round that it answers
 * @param table digest of the weight table that it was made with
 * @param bytes length of the exchanged range, float32
 * @param sha256 of all of it
 * @param chunkBytes size of all chunks but the last, 64 KiB to 16 MiB
 * @param samples training samples behind it: its weight
 * @param metrics of local training, such as loss
 */
public record UpdateHeader(int round, String table, long bytes, String sha256, int chunkBytes, long samples,
        Map<String, Double> metrics) {
    public UpdateHeader {
        Checks.range("round", round, 1, 100_000);
        Checks.digest("table", table);
        Checks.digest("sha256", sha256);
        Checks.range("bytes", bytes, 4, Long.MAX_VALUE);
        Checks.range("chunk_bytes", chunkBytes, Chunks.LEAST, Chunks.MOST);
        Checks.range("samples", samples, 1, Long.MAX_VALUE);
        metrics = Checks.metrics(metrics);
    }

    /** How its bytes are cut. */
    public Chunks chunks() { return new Chunks(bytes, chunkBytes); }
}
