package isthmus.wire;

/**
 * Announces a job and its initial weights before their bytes.
 *
 * @param job the job
 * @param bytes size of the initial weights' safetensors file
 * @param sha256 of that file
 * @param chunkBytes size of all chunks but the last
 */
public record SubmitHeader(JobSpec job, long bytes, String sha256, int chunkBytes) {
    public SubmitHeader {
        if (job == null)
            throw new IllegalArgumentException("job is missing");
        Checks.digest("sha256", sha256);
        Checks.range("bytes", bytes, 10, Long.MAX_VALUE);
        Checks.range("chunk_bytes", chunkBytes, Chunks.LEAST, Chunks.MOST);
    }

    /** How the file's bytes are cut. */
    public Chunks chunks() { return new Chunks(bytes, chunkBytes); }
}
