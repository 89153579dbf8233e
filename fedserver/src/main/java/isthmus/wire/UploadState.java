package isthmus.wire;

import java.util.List;

/**
 * How far an upload is.
 *
 * @param id of the job it belongs to
 * @param accepted whether it is complete, verified and journalled: nothing is left to send
 * @param missing chunks that are not verified yet, as stretches in rising order
 */
public record UploadState(String id, boolean accepted, List<Span> missing) {
    /** Chunks {@code from} (included) to {@code to} (not included). */
    public record Span(int from, int to) {}
}
