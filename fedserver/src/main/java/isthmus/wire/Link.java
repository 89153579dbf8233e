package isthmus.wire;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodySubscribers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLParameters;

/**
 * An outbound HTTPS connection to the server: mutual TLS 1.3, HTTP/1.1, host name verified. Calls block, and one call is
 * one attempt; {@link Patience} repeats them. Safe for use by many threads.
 */
public final class Link implements AutoCloseable {
    /** Name of the header that carries a chunk's SHA-256. */
    public static final String CHUNK_DIGEST = "Isthmus-Sha256";

    private static final Duration CONTROL = Duration.ofSeconds(60);
    private static final Duration CHUNK = Duration.ofMinutes(3);
    private static final int STALL_SECONDS = 60;

    private final URI server;
    private final HttpClient http;

    /** Opens nothing yet; throws if the kit's certificate is not valid now. */
    public Link(Kit kit) throws IOException {
        kit.checkValid();
        server = kit.server();
        SSLParameters tls = new SSLParameters();
        tls.setProtocols(new String[]{"TLSv1.3"});
        http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).sslContext(kit.sslContext())
                .sslParameters(tls).connectTimeout(Duration.ofSeconds(15)).followRedirects(HttpClient.Redirect.NEVER)
                .build();
    }

    /** GET, answered with JSON. */
    public <T> T get(String path, Class<T> type, Duration timeout) throws IOException, InterruptedException {
        return json(request(path).timeout(timeout).GET().build(), type);
    }

    /** GET, answered with JSON, within the usual time. */
    public <T> T get(String path, Class<T> type) throws IOException, InterruptedException {
        return get(path, type, CONTROL);
    }

    /** POST of JSON, answered with JSON. */
    public <T> T post(String path, Object body, Class<T> type) throws IOException, InterruptedException {
        var content = HttpRequest.BodyPublishers.ofByteArray(Json.bytes(body));
        return json(request(path).timeout(CONTROL).header("Content-Type", "application/json").POST(content).build(),
                type);
    }

    /** PUT of a chunk straight from off-heap memory. The memory must stay as it is until the call returns. */
    public void putChunk(String path, MemorySegment chunk, String sha256) throws IOException, InterruptedException {
        json(request(path).timeout(CHUNK).header("Content-Type", "application/octet-stream")
                .header(CHUNK_DIGEST, sha256).PUT(new SegmentPublisher(chunk)).build(), Object.class);
    }

    /** Told how many bytes of a download are there. */
    public interface Fetched {
        void bytes(long now);
    }

    /** Where the bytes of a download lie until it is whole. */
    public static Path part(Path file) {
        return file.resolveSibling(file.getFileName() + ".part");
    }

    /**
     * Downloads into a file, going on where an earlier attempt left {@code file.part}; the file appears under its name
     * only whole and with the right digest.
     *
     * @param bytes its expected size: nothing longer is read
     */
    public void download(String path, Path file, long bytes, String sha256, Fetched progress)
            throws IOException, InterruptedException {
        Path part = part(file);
        long have = Files.exists(part) ? Files.size(part) : 0;
        if (have > bytes) {
            Files.delete(part);
            have = 0;
        }
        if (have < bytes)
            fetch(path, part, have, bytes, progress);
        if (Files.size(part) != bytes)
            throw new IOException(
                    "download of " + path + " ended after " + Files.size(part) + " of " + bytes + " bytes");
        String came = Sha256.of(part);
        if (!came.equals(sha256)) {
            Files.delete(part);
            throw new IOException("download of " + path + " has digest " + came + ", expected " + sha256
                    + "; it is fetched anew");
        }
        AtomicFiles.move(part, file);
    }

    /** The first bytes of a file, as when only its header is wanted; {@code bytes} is at most what an answer may have. */
    public byte[] head(String path, int bytes) throws IOException, InterruptedException {
        HttpRequest request = request(path).timeout(CONTROL).header("Range", "bytes=0-" + (bytes - 1)).GET().build();
        HttpResponse<byte[]> response;
        try {
            response = http.send(request, info -> {
                long length = info.headers().firstValueAsLong("Content-Length").orElse(-1);
                boolean wanted = info.statusCode() == 206 && length == bytes;
                boolean refusal = info.statusCode() >= 400 && length >= 0 && length <= Json.MAX_BYTES;
                return wanted || refusal ? BodySubscribers.ofByteArray() : BodySubscribers.replacing(new byte[0]);
            });
        } catch (IOException e) {
            throw Tls.explain(e);
        }
        if (response.statusCode() >= 400)
            throw refused(response.statusCode(), response.body(), request);
        if (response.body().length != bytes)
            throw new IOException(request.uri() + " answered a request for its first " + bytes
                    + " bytes with status " + response.statusCode() + " and another length");
        return response.body();
    }

    private void fetch(String path, Path part, long have, long bytes, Fetched progress)
            throws IOException, InterruptedException {
        HttpRequest request = request(path).timeout(CONTROL).header("Range", "bytes=" + have + "-").GET().build();
        CompletableFuture<HttpResponse<byte[]>> answer = http.sendAsync(request, info -> {
            long length = info.headers().firstValueAsLong("Content-Length").orElse(-1);
            if (info.statusCode() == 206 && length == bytes - have)
                return BodySubscribers.mapping(
                        BodySubscribers.ofFile(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                                StandardOpenOption.APPEND),
                        ignored -> new byte[0]);
            return length > Json.MAX_BYTES || length < 0
                    ? BodySubscribers.replacing(new byte[0])
                    : BodySubscribers.ofByteArray();
        });
        HttpResponse<byte[]> response = untilStalled(answer, part, progress);
        if (response.statusCode() >= 400)
            throw refused(response.statusCode(), response.body(), request);
        if (response.statusCode() != 206)
            throw new IOException(request.uri() + " answered a request from byte " + have + " on with status "
                    + response.statusCode() + "; a proxy in between may not pass Range requests");
    }

    /** Waits for a download as long as its file grows. */
    private static HttpResponse<byte[]> untilStalled(CompletableFuture<HttpResponse<byte[]>> answer, Path part,
            Fetched progress) throws IOException, InterruptedException {
        long size = -1;
        for (int idle = 0; idle < STALL_SECONDS * 2; idle++) {
            try {
                return answer.get(500, TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                long now = Files.exists(part) ? Files.size(part) : 0;
                if (now != size)
                    idle = 0;
                size = now;
                progress.bytes(now);
            } catch (ExecutionException e) {
                throw e.getCause() instanceof IOException io ? Tls.explain(io) : new IOException(e.getCause());
            } catch (InterruptedException e) {
                answer.cancel(true);
                throw e;
            }
        }
        answer.cancel(true);
        throw new IOException("download stood still for " + STALL_SECONDS + " s after " + size + " bytes");
    }

    private HttpRequest.Builder request(String path) { return HttpRequest.newBuilder(server.resolve(path)); }

    private <T> T json(HttpRequest request, Class<T> type) throws IOException, InterruptedException {
        HttpResponse<byte[]> response;
        try {
            response = http.send(request, info -> {
                long length = info.headers().firstValueAsLong("Content-Length").orElse(0);
                return length > MAX_ANSWER ? BodySubscribers.replacing(new byte[0]) : BodySubscribers.ofByteArray();
            });
        } catch (IOException e) {
            throw Tls.explain(e);
        }
        if (response.statusCode() >= 400)
            throw refused(response.statusCode(), response.body(), request);
        return Json.read(response.body(), type, request.uri().getPath());
    }

    private static final long MAX_ANSWER = Json.MAX_BYTES;

    private static RefusalException refused(int status, byte[] body, HttpRequest request) {
        Refusal refusal;
        try {
            refusal = Json.read(body, Refusal.class, "answer");
        } catch (RefusalException e) {
            String text = new String(body, 0, Math.min(200, body.length), StandardCharsets.UTF_8);
            refusal = new Refusal("http_" + status, "status " + status + " " + text, request.uri().toString(),
                    "if a proxy stands in between, ask who runs it");
        }
        return new RefusalException(status, refusal);
    }

    /** Breaks off what is under way; calls that are waiting throw an IOException. */
    @Override
    public void close() { http.shutdownNow(); }
}
