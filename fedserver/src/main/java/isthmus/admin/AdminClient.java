package isthmus.admin;

import isthmus.wire.Chunks;
import isthmus.wire.JobList;
import isthmus.wire.JobSpec;
import isthmus.wire.JobStatus;
import isthmus.wire.Json;
import isthmus.wire.Kit;
import isthmus.wire.Link;
import isthmus.wire.Patience;
import isthmus.wire.Role;
import isthmus.wire.Sha256;
import isthmus.wire.SubmitHeader;
import isthmus.wire.Task;
import isthmus.wire.Upload;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Map;

/**
 * An administrator's connection to a server. Calls block; what breaks on the way is tried again for the given patience.
 * What the server refuses is thrown as {@link isthmus.wire.RefusalException}, with what, where and cure. Thread-safe.
 */
public final class AdminClient implements AutoCloseable {
    private final Link link;
    private final Patience patience;

    private AdminClient(Link link, Duration patience) {
        this.link = link;
        this.patience = new Patience(patience, (problem, wait) -> {});
    }

    /** Opens an administrator's kit; connects to nothing yet. */
    public static AdminClient open(Path kit, Duration patience) throws IOException {
        return new AdminClient(new Link(Kit.open(kit, Role.ADMIN)), patience);
    }

    /** The same with the server elsewhere. */
    public static AdminClient open(Path kit, String host, int port, Duration patience) throws IOException {
        return new AdminClient(new Link(Kit.open(kit, Role.ADMIN).at(host, port)), patience);
    }

    /** Told how many bytes of an upload the server has; called on the calling thread. */
    public interface Sent {
        void bytes(long now, long all);
    }

    /**
     * Submits a job.
     *
     * @param jobJson the job, see {@link JobSpec}; unknown keys are errors
     * @param weights safetensors file of the initial weights
     * @return the job's identity
     */
    public String submit(String jobJson, Path weights, Sent sent) throws IOException, InterruptedException {
        return submit(Json.read(jobJson.getBytes(StandardCharsets.UTF_8), JobSpec.class, "job"), weights, sent);
    }

    /** Submits a job; see {@link #submit(String, Path, Sent)}. */
    public String submit(JobSpec job, Path weights, Sent sent) throws IOException, InterruptedException {
        try (FileChannel file = FileChannel.open(weights, StandardOpenOption.READ); Arena arena = Arena.ofShared()) {
            MemorySegment bytes = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size(), arena);
            SubmitHeader header = new SubmitHeader(job, bytes.byteSize(), Sha256.of(bytes), Chunks.USUAL);
            return new Upload(link, "/v1/jobs", id -> "/v1/jobs/" + id + "/weights")
                    .run(header, bytes, header.chunks(), patience, now -> sent.bytes(now, header.bytes())).id();
        }
    }

    /** All jobs, oldest first. */
    public JobList list() throws IOException, InterruptedException {
        return patience.run(() -> link.get("/v1/jobs", JobList.class));
    }

    /**
     * A job's state now.
     *
     * @param since leave out the first so many finished rounds; an answer holds at most 100
     */
    public JobStatus status(String job, int since) throws IOException, InterruptedException {
        return patience.run(() -> link.get("/v1/jobs/" + job + "?since=" + since, JobStatus.class));
    }

    /** Ends a job now; its best and last model stay. */
    public void abort(String job) throws IOException, InterruptedException {
        patience.run(() -> link.post("/v1/jobs/" + job + "/abort", "", Map.class));
    }

    /** Fetches a job's {@code best} or {@code last} model, resuming an earlier attempt, and checks its digest. */
    public void download(String job, String which, Path file) throws IOException, InterruptedException {
        String path = "/v1/jobs/" + job + "/models/" + which;
        patience.run(() -> {
            Task.Weights model = link.get(path + "/digest", Task.Weights.class);
            link.download(path, file, model.bytes(), model.sha256(), now -> {});
            return null;
        });
    }

    /** Name, role and project that the server sees in our certificate. */
    public Map<?, ?> hello() throws IOException, InterruptedException {
        return patience.run(() -> link.get("/v1/hello", Map.class));
    }

    @Override
    public void close() { link.close(); }
}
