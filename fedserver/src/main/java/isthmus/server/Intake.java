package isthmus.server;

import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import isthmus.wire.RefusalException;

/**
 * Streams one chunk's body from the connection into its slot: at most 16 KiB lie on the heap, nothing is gathered. Its
 * methods run on the event loop; a body that is cut off ends in {@link Done#broken} and leaves the chunk unverified.
 */
final class Intake {
    /** How the body ended; called once, on the event loop. */
    interface Done {
        void whole();

        void refused(RefusalException refusal);

        void broken(Throwable why);
    }

    private static final int STEP = 16 << 10;
    private final byte[] step = new byte[STEP];
    private final HttpServerRequest request;
    private Slot.Writer writer;
    private Done done;
    private Throwable brokenEarly;
    private boolean over;

    private Intake(HttpServerRequest request) { this.request = request; }

    /** Holds a request's body back until there is a slot for it; a connection that dies meanwhile is remembered. */
    static Intake pause(HttpServerRequest request) {
        Intake intake = new Intake(request);
        request.pause();
        request.exceptionHandler(intake::broke);
        return intake;
    }

    /** Reads the body into a slot. */
    void read(Slot.Writer into, Done whenDone) {
        writer = into;
        done = whenDone;
        if (brokenEarly != null) {
            broke(brokenEarly);
            return;
        }
        request.handler(this::take);
        request.endHandler(v -> end());
        request.resume();
    }

    private void take(Buffer bytes) {
        if (over)
            return;
        try {
            for (int at = 0; at < bytes.length(); at += STEP) {
                int length = Math.min(STEP, bytes.length() - at);
                bytes.getBytes(at, at + length, step, 0);
                writer.put(step, length);
            }
        } catch (RefusalException e) {
            over = true;
            done.refused(e);
        }
    }

    private void end() {
        if (over)
            return;
        over = true;
        done.whole();
    }

    private void broke(Throwable why) {
        brokenEarly = why;
        if (over || done == null)
            return;
        over = true;
        done.broken(why);
    }
}
