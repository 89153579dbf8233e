package isthmus.wire;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/**
 * Sends a long body in chunks with a digest each: begin says which chunks the server lacks, so that after a cut, or a
 * restart of either side, only those travel; commit makes it count. The same steps serve updates and initial weights.
 *
 * @param link to the server
 * @param begin path that the header is posted to
 * @param base from the begun upload's id to the path of its chunks and commit
 */
public record Upload(Link link, String begin, Function<String, String> base) {
    /** Told after each chunk how many bytes the server has; runs on the calling thread. */
    public interface Sent {
        void bytes(long now);
    }

    /**
     * Runs begin, chunks, commit until the server has accepted.
     *
     * @param header what begin announces
     * @param data all bytes; unchanged until this returns
     * @throws RefusalException if the server refuses it for good
     */
    public UploadState run(Object header, MemorySegment data, Chunks chunks, Patience patience, Sent sent)
            throws IOException, InterruptedException {
        while (true) {
            UploadState state = patience.run(() -> attempt(header, data, chunks, sent));
            if (state.accepted())
                return state;
        }
    }

    /** A server that was restarted has to be told of the upload again: that is one more cut, and no refusal. */
    private UploadState attempt(Object header, MemorySegment data, Chunks chunks, Sent sent)
            throws IOException, InterruptedException {
        try {
            return once(header, data, chunks, sent);
        } catch (RefusalException e) {
            if (e.is("not_begun") || e.is("taken_over"))
                throw new IOException(e.getMessage(), e);
            throw e;
        }
    }

    private UploadState once(Object header, MemorySegment data, Chunks chunks, Sent sent)
            throws IOException, InterruptedException {
        UploadState state = link.post(begin, header, UploadState.class);
        if (state.accepted())
            return state;
        String path = base.apply(state.id());
        long have = chunks.bytes();
        for (UploadState.Span span : state.missing())
            for (int i = span.from(); i < span.to(); i++)
                have -= chunks.length(i);
        for (UploadState.Span span : state.missing()) {
            for (int i = span.from(); i < span.to(); i++) {
                MemorySegment chunk = data.asSlice(chunks.offset(i), chunks.length(i));
                link.putChunk(path + "/chunks/" + i, chunk, Sha256.of(chunk));
                have += chunks.length(i);
                sent.bytes(have);
            }
        }
        return link.post(path + "/commit", "", UploadState.class);
    }
}
