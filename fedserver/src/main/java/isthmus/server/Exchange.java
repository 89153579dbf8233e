package isthmus.server;

import io.vertx.core.Context;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import isthmus.wire.Chunks;
import isthmus.wire.Json;
import isthmus.wire.Peer;
import isthmus.wire.Refusal;
import isthmus.wire.RefusalException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One request and its one answer: work on a virtual thread, bytes on the event loop, every refusal logged and in JSON. */
final class Exchange {
    private static final Logger LOG = LoggerFactory.getLogger(Exchange.class);
    private static final Pattern RANGE = Pattern.compile("bytes=(\\d{1,18})-(\\d{0,18})");

    /** Work that blocks; what it returns is the answer's JSON. */
    interface Work {
        Object run() throws Exception;
    }

    private final HttpServerRequest request;
    private final Context context;
    private final ExecutorService workers;
    private Peer peer;

    Exchange(Vertx vertx, HttpServerRequest request, ExecutorService workers) {
        this.request = request;
        this.context = vertx.getOrCreateContext();
        this.workers = workers;
    }

    void admitted(Peer who) { peer = who; }

    /** Runs work on a worker and answers with its result. */
    void answer(Work work) {
        onWorker(() -> reply(200, work.run()));
    }

    /** Runs a step on a worker; what it throws becomes the answer. */
    void onWorker(Step step) {
        try {
            workers.execute(() -> {
                try {
                    step.run();
                } catch (Exception e) {
                    fail(e);
                }
            });
        } catch (RejectedExecutionException e) {
            fail(new RefusalException(503,
                    new Refusal("closing", "the server is stopping", request.path(), "try again later")));
        }
    }

    /** A step that answers by itself. */
    interface Step {
        void run() throws Exception;
    }

    /** Continues on the event loop. */
    void onLoop(Runnable step) { context.runOnContext(v -> step.run()); }

    /** The bytes that a client asks for: the last one included, as HTTP counts. */
    private record Range(long from, long last) {}

    /** Streams a file, or the part of it that the client asks for, so that a cut download resumes. */
    void send(Path file) throws IOException {
        if (!Files.exists(file))
            throw new RefusalException(404, new Refusal("no_such_file", "there is no such model yet", request.path(),
                    "wait until a round is closed"));
        long size = Files.size(file);
        Range range = range(request.getHeader("Range"), size);
        onLoop(() -> {
            HttpServerResponse response = request.response();
            response.putHeader("Content-Type", "application/octet-stream").putHeader("Accept-Ranges", "bytes");
            if (request.getHeader("Range") != null)
                response.setStatusCode(206).putHeader("Content-Range",
                        "bytes " + range.from + "-" + range.last + "/" + size);
            response.sendFile(file.toString(), range.from, range.last - range.from + 1)
                    .onFailure(e -> LOG.info("{} {}: download was cut: {}", who(), request.path(), e.getMessage()));
        });
    }

    private Range range(String asked, long size) {
        if (asked == null)
            return new Range(0, size - 1);
        Matcher m = RANGE.matcher(asked);
        if (m.matches()) {
            long from = Long.parseLong(m.group(1));
            long last = m.group(2).isEmpty() ? size - 1 : Math.min(size - 1, Long.parseLong(m.group(2)));
            if (from <= last)
                return new Range(from, last);
        }
        throw new RefusalException(416,
                new Refusal("bad_range", "range \"" + asked.substring(0, Math.min(60, asked.length()))
                        + "\" is not bytes=FROM- or bytes=FROM-LAST within " + size + " bytes", request.path(),
                        "ask for one range"));
    }

    void reply(int status, Object json) {
        byte[] body = Json.bytes(json);
        onLoop(() -> {
            HttpServerResponse response = request.response();
            if (response.ended() || response.closed())
                return;
            response.setStatusCode(status).putHeader("Content-Type", "application/json").end(Buffer.buffer(body));
        });
    }

    /** Logs and answers a failure. A body still on its way is read and thrown away if it is short, else cut off. */
    void fail(Throwable problem) {
        RefusalException refusal = refusal(problem);
        if (refusal.status() >= 500 && refusal != problem)
            LOG.error("{} {} {}: {}", who(), request.method(), request.path(), refusal.getMessage(), problem);
        else
            LOG.warn("refused {} {} {}: {}: {}", who(), request.method(), request.path(), refusal.refusal().error(),
                    refusal.getMessage());
        onLoop(() -> {
            String length = request.getHeader("Content-Length");
            if (request.isEnded()) {
                reply(refusal.status(), refusal.refusal());
            } else if (length != null && length.length() < 10 && Long.parseLong(length) <= Chunks.MOST) {
                request.handler(b -> {}).exceptionHandler(e -> {})
                        .endHandler(v -> reply(refusal.status(), refusal.refusal()));
                request.resume();
            } else {
                request.response().putHeader("Connection", "close");
                reply(refusal.status(), refusal.refusal());
                onLoop(() -> request.connection().close());
            }
        });
    }

    private RefusalException refusal(Throwable problem) {
        if (problem instanceof RefusalException r)
            return r;
        String what = problem.getMessage() == null ? problem.getClass().getSimpleName() : problem.getMessage();
        boolean disk = problem instanceof IOException || problem instanceof java.io.UncheckedIOException;
        return new RefusalException(disk ? 507 : 500, new Refusal(disk ? "storage" : "internal", what, request.path(),
                "the server's log has the details; it is worth trying again"));
    }

    private String who() {
        return peer == null ? String.valueOf(request.remoteAddress()) : peer.role().text() + " " + peer.name();
    }
}
