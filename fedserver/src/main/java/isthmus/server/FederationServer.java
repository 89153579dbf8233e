package isthmus.server;

import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.file.FileSystemOptions;
import io.vertx.core.http.ClientAuth;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.core.net.PemTrustOptions;
import isthmus.wire.Kit;
import isthmus.wire.OwnerOnly;
import isthmus.wire.Role;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The federation server: HTTPS with mutual TLS 1.3, rounds, staged updates, journalled state. It loads no training
 * natives. A server that was killed goes on where its journal ends when it is started on the same home folder again.
 */
public final class FederationServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(FederationServer.class);
    private static final int IDLE_SECONDS = 120;
    private static final long TICK_MILLIS = 250;

    private final FileChannel lockFile;
    private final Desk desk;
    private final Jobs jobs;
    private final Vertx vertx;
    /** Kept reachable for as long as the server runs. */
    private final HttpServer http;

    private FederationServer(FileChannel lockFile, Desk desk, Jobs jobs, Vertx vertx, HttpServer http) {
        this.lockFile = lockFile;
        this.desk = desk;
        this.jobs = jobs;
        this.vertx = vertx;
        this.http = http;
    }

    /**
     * Opens the home folder, goes on with its jobs, and listens. Blocks until the port is open.
     *
     * @throws IOException naming what is wrong and the cure: kit, home folder in use, port taken
     */
    public static FederationServer start(ServerConfig config) throws IOException {
        Kit kit = Kit.open(config.kit(), Role.SERVER);
        kit.checkValid();
        OwnerOnly.folder(config.home());
        FileChannel lockFile = lock(config.home());
        Desk desk = new Desk();
        Vertx vertx = null;
        try {
            // Cryptography and a JSON mapper take a while to load: do it beside Vert.x, not in the first handshake.
            Future<?> warm = desk.workers.submit(() -> kit.sslContext().createSSLEngine());
            vertx = vertx();
            Jobs jobs = Jobs.open(config.home().resolve("jobs"), desk, config.maxModelBytes());
            warm.get();
            int port = config.port() < 0 ? kit.connection().port() : config.port();
            HttpServer http = listen(vertx, kit, jobs, desk, config.bind(), port);
            vertx.setPeriodic(TICK_MILLIS, id -> desk.execute(jobs::tick));
            LOG.info("project {}: listening on {} port {}", kit.connection().project(), config.bind(),
                    http.actualPort());
            return new FederationServer(lockFile, desk, jobs, vertx, http);
        } catch (IOException | RuntimeException e) {
            abandon(vertx, desk, lockFile);
            throw e;
        } catch (ExecutionException e) {
            abandon(vertx, desk, lockFile);
            throw new IOException("TLS cannot be set up: " + e.getCause().getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            abandon(vertx, desk, lockFile);
            throw new IOException("interrupted while starting", e);
        }
    }

    private static void abandon(Vertx vertx, Desk desk, FileChannel lockFile) throws IOException {
        if (vertx != null)
            vertx.close();
        desk.close();
        lockFile.close();
    }

    /** The system drops this lock when the process dies, however it dies. */
    private static FileChannel lock(Path home) throws IOException {
        FileChannel file = FileChannel.open(home.resolve("server.lock"), StandardOpenOption.CREATE,
                StandardOpenOption.WRITE);
        FileLock lock;
        try {
            lock = file.tryLock();
        } catch (OverlappingFileLockException e) {
            lock = null;
        }
        if (lock == null) {
            file.close();
            throw new IOException(home + " is in use by another server; stop it, or choose another home folder");
        }
        return file;
    }

    /** One event loop moves the bytes of all sites; a second one serves Vert.x itself. */
    private static Vertx vertx() {
        return Vertx
                .vertx(new VertxOptions().setEventLoopPoolSize(2).setWorkerPoolSize(2).setInternalBlockingPoolSize(4)
                        .setFileSystemOptions(new FileSystemOptions().setFileCachingEnabled(false)
                                .setClassPathResolvingEnabled(false)));
    }

    private static HttpServer listen(Vertx vertx, Kit kit, Jobs jobs, Desk desk, String bind, int port)
            throws IOException {
        HttpServerOptions options = new HttpServerOptions().setHost(bind).setPort(port).setSsl(true)
                .setKeyCertOptions(new PemKeyCertOptions().setKeyPath(kit.path(Kit.KEY).toString())
                        .setCertPath(kit.path(Kit.CERTIFICATE).toString()))
                .setTrustOptions(new PemTrustOptions().addCertPath(kit.path(Kit.CA).toString()))
                .setClientAuth(ClientAuth.REQUIRED).setEnabledSecureTransportProtocols(Set.of("TLSv1.3"))
                .setUseAlpn(false).setHttp2ClearTextEnabled(false).setTcpNoDelay(true).setIdleTimeout(IDLE_SECONDS)
                .setMaxInitialLineLength(4096).setMaxHeaderSize(16 << 10);
        HttpServer server = vertx.createHttpServer(options)
                .requestHandler(Api.router(vertx, jobs, new Admission(kit.connection().project()), desk.workers))
                .exceptionHandler(e -> LOG.warn("refused a connection: {}", words(e)));
        try {
            return server.listen().toCompletionStage().toCompletableFuture().get(30, TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            throw new IOException("cannot listen on " + bind + " port " + port + ": "
                    + (e.getCause() == null ? e : e.getCause()).getMessage()
                    + "; is another server running there? Choose another port", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while starting", e);
        }
    }

    /** A handshake's failure with its innermost reason, such as an expired certificate. */
    private static String words(Throwable e) {
        List<String> words = new ArrayList<>();
        for (Throwable t = e; t != null; t = t.getCause()) {
            String word = t.getMessage();
            if (word != null && words.stream().noneMatch(said -> said.contains(word)))
                words.add(word);
        }
        return words.isEmpty() ? "the other side hung up during the handshake" : String.join("; ", words);
    }

    /** The port it listens on. */
    public int port() { return http.actualPort(); }

    /** Stops listening, lets work under way end, and closes all files. Jobs go on at the next start. */
    @Override
    public void close() {
        try {
            desk.close();
            vertx.close().toCompletionStage().toCompletableFuture().get(30, TimeUnit.SECONDS);
            jobs.close();
            lockFile.close();
            LOG.info("server stopped");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ExecutionException | TimeoutException | IOException e) {
            LOG.warn("while stopping: {}", e.getMessage());
        }
    }
}
