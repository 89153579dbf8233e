package isthmus.server;

import io.vertx.core.Vertx;
import io.vertx.core.http.HttpMethod;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import io.vertx.ext.web.handler.BodyHandler;
import isthmus.wire.Failure;
import isthmus.wire.Json;
import isthmus.wire.Link;
import isthmus.wire.Note;
import isthmus.wire.Peer;
import isthmus.wire.Refusal;
import isthmus.wire.RefusalException;
import isthmus.wire.Report;
import isthmus.wire.Role;
import isthmus.wire.SubmitHeader;
import isthmus.wire.UpdateHeader;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;

/** The server's paths: who may use each, how long its body may be, and which step of which job it is. */
final class Api {
    private static final Set<Role> SITE = EnumSet.of(Role.SITE);
    private static final Set<Role> ADMIN = EnumSet.of(Role.ADMIN);
    private static final Set<Role> BOTH = EnumSet.of(Role.SITE, Role.ADMIN);
    private static final long MAX_WAIT_MILLIS = 30_000;

    private final Vertx vertx;
    private final Jobs jobs;
    private final Admission admission;
    private final ExecutorService workers;
    private final Router router;

    private Api(Vertx vertx, Jobs jobs, Admission admission, ExecutorService workers) {
        this.vertx = vertx;
        this.jobs = jobs;
        this.admission = admission;
        this.workers = workers;
        this.router = Router.router(vertx);
    }

    static Router router(Vertx vertx, Jobs jobs, Admission admission, ExecutorService workers) {
        Api api = new Api(vertx, jobs, admission, workers);
        api.routes();
        return api.router;
    }

    private void routes() {
        get("/v1/hello", BOTH, (c, peer) -> Map.of("project", admission.project(), "name", peer.name(), "role",
                peer.role().text()));
        get("/v1/task", SITE, (c, peer) -> jobs.poll(peer.name(), session(c), c.request().getParam("job"), wait(c)));
        post("/v1/jobs/:job/updates", SITE, UpdateHeader.class,
                (c, peer, body) -> job(c).uploads.begin(peer.name(), body));
        chunks("/v1/jobs/:job/updates/:round/chunks/:chunk", SITE, this::updateChunk);
        post("/v1/jobs/:job/updates/:round/commit", SITE, String.class,
                (c, peer, body) -> job(c).uploads.commit(peer.name(), number(c, "round")));
        post("/v1/jobs/:job/notes", SITE, Note.class, (c, peer, body) -> job(c).note(peer.name(), body));
        post("/v1/jobs/:job/reports", SITE, Report.class, (c, peer, body) -> {
            job(c).report(peer.name(), body);
            return Map.of();
        });
        post("/v1/jobs/:job/failures", SITE, Failure.class, (c, peer, body) -> {
            job(c).failed(peer.name(), session(c), body);
            return Map.of();
        });
        file("/v1/jobs/:job/global/:round", BOTH, c -> job(c).globalFile(number(c, "round")));
        file("/v1/jobs/:job/models/:which", BOTH, c -> job(c).modelFile(c.pathParam("which")));
        get("/v1/jobs/:job/models/:which/digest", BOTH, (c, peer) -> job(c).describeModel(c.pathParam("which")));

        post("/v1/jobs", ADMIN, SubmitHeader.class, (c, peer, body) -> jobs.submit(body));
        chunks("/v1/jobs/:job/weights/chunks/:chunk", ADMIN, (c, peer, length) -> new Taking(
                job(c).weightsChunk(number(c, "chunk"), digest(c), length), () -> {}));
        post("/v1/jobs/:job/weights/commit", ADMIN, String.class, (c, peer, body) -> job(c).commitWeights());
        get("/v1/jobs", ADMIN, (c, peer) -> jobs.list());
        get("/v1/jobs/:job", ADMIN, (c, peer) -> job(c).status(since(c)));
        post("/v1/jobs/:job/abort", ADMIN, String.class, (c, peer, body) -> {
            job(c).abort("by " + peer.name());
            return Map.of();
        });
        router.route().handler(c -> exchange(c).fail(new RefusalException(404, new Refusal("no_such_path",
                "this server has no such path", c.request().method() + " " + c.request().path(),
                "do server and kit run the same version of Isthmus?"))));
        router.route().failureHandler(c -> exchange(c).fail(c.statusCode() == 413
                ? new RefusalException(413, new Refusal("too_large", "the body is longer than " + Json.MAX_BYTES
                        + " bytes", c.request().path(), "send less"))
                : c.failure() == null ? new IllegalStateException("status " + c.statusCode()) : c.failure()));
    }

    // ---- kinds of routes ----

    private interface Answer {
        Object to(RoutingContext c, Peer peer) throws Exception;
    }

    private interface BodyAnswer<T> {
        Object to(RoutingContext c, Peer peer, T body) throws Exception;
    }

    private interface FileAnswer {
        java.nio.file.Path of(RoutingContext c) throws Exception;
    }

    private interface ChunkAnswer {
        Taking of(RoutingContext c, Peer peer, long length);
    }

    /** A chunk being taken, and what happens once it is verified. */
    private record Taking(Slot.Writer writer, Runnable verified) {}

    private void get(String path, Set<Role> roles, Answer answer) {
        router.get(path).handler(c -> {
            Exchange exchange = exchange(c);
            admitted(exchange, c, roles, peer -> exchange.answer(() -> answer.to(c, peer)));
        });
    }

    private <T> void post(String path, Set<Role> roles, Class<T> type, BodyAnswer<T> answer) {
        router.post(path).handler(BodyHandler.create(false).setBodyLimit(Json.MAX_BYTES)).handler(c -> {
            Exchange exchange = exchange(c);
            admitted(exchange, c, roles, peer -> exchange.answer(() -> answer.to(c, peer,
                    Json.read(c.body().buffer() == null ? new byte[0] : c.body().buffer().getBytes(), type,
                            c.request().path()))));
        });
    }

    private void file(String path, Set<Role> roles, FileAnswer answer) {
        router.get(path).handler(c -> {
            Exchange exchange = exchange(c);
            admitted(exchange, c, roles, peer -> exchange.onWorker(() -> exchange.send(answer.of(c))));
        });
    }

    private void chunks(String path, Set<Role> roles, ChunkAnswer answer) {
        router.route(HttpMethod.PUT, path).handler(c -> {
            Intake intake = Intake.pause(c.request());
            Exchange exchange = exchange(c);
            admitted(exchange, c, roles,
                    peer -> exchange.onWorker(() -> take(c, intake, exchange, answer.of(c, peer, length(c)))));
        });
    }

    private void take(RoutingContext c, Intake intake, Exchange exchange, Taking taking) {
        exchange.onLoop(() -> intake.read(taking.writer, new Intake.Done() {
            @Override
            public void whole() {
                exchange.answer(() -> {
                    taking.writer.finish();
                    taking.verified.run();
                    return Map.of();
                });
            }

            @Override
            public void refused(RefusalException refusal) { exchange.fail(refusal); }

            @Override
            public void broken(Throwable why) {
                exchange.fail(RefusalException.bad("truncated", "the body was cut off: " + why.getMessage(),
                        c.request().path(), "send the chunk anew"));
            }
        }));
    }

    private interface Then {
        void with(Peer peer);
    }

    private void admitted(Exchange exchange, RoutingContext c, Set<Role> roles, Then then) {
        Peer peer;
        try {
            peer = admission.admit(c.request(), roles);
        } catch (RefusalException e) {
            exchange.fail(e);
            return;
        }
        exchange.admitted(peer);
        then.with(peer);
    }

    // ---- parameters ----

    private Taking updateChunk(RoutingContext c, Peer peer, long length) {
        Job job = job(c);
        return new Taking(job.uploads.chunk(peer.name(), number(c, "round"), number(c, "chunk"), digest(c), length),
                () -> job.uploads.progressed(peer.name()));
    }

    private Exchange exchange(RoutingContext c) { return new Exchange(vertx, c.request(), workers); }

    private Job job(RoutingContext c) { return jobs.find(c.pathParam("job")); }

    private static String digest(RoutingContext c) { return c.request().getHeader(Link.CHUNK_DIGEST); }

    private static String session(RoutingContext c) {
        String session = c.request().getParam("session");
        return session == null ? "" : session.substring(0, Math.min(64, session.length()));
    }

    private static long length(RoutingContext c) {
        String text = c.request().getHeader("Content-Length");
        return text == null ? -1 : number(c, "Content-Length", text);
    }

    private static int number(RoutingContext c, String name) {
        return Math.toIntExact(Math.min(Integer.MAX_VALUE, number(c, name, c.pathParam(name))));
    }

    private static int since(RoutingContext c) {
        String text = c.request().getParam("since");
        return text == null ? 0 : (int) Math.min(Integer.MAX_VALUE, number(c, "since", text));
    }

    private static long wait(RoutingContext c) {
        String text = c.request().getParam("wait");
        return text == null ? 0 : Math.min(MAX_WAIT_MILLIS, number(c, "wait", text));
    }

    private static long number(RoutingContext c, String name, String text) {
        if (!text.matches("\\d{1,18}"))
            throw RefusalException.bad("bad_number", name + " is \"" + text.substring(0, Math.min(40, text.length()))
                    + "\", not a whole number", c.request().path(), "write digits");
        return Long.parseLong(text);
    }
}
