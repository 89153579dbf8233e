package isthmus.server;

import isthmus.wire.JobList;
import isthmus.wire.JobSpec;
import isthmus.wire.RefusalException;
import isthmus.wire.SubmitHeader;
import isthmus.wire.Task;
import isthmus.wire.UploadState;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** All jobs of a server, each in a folder of its own under {@code jobs/}, oldest first. */
final class Jobs implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Jobs.class);
    private final Path folder;
    private final Desk desk;
    private final long maxModelBytes;
    /** Guarded by the desk's lock. */
    private final Map<String, Job> jobs = new LinkedHashMap<>();

    private Jobs(Path folder, Desk desk, long maxModelBytes) {
        this.folder = folder;
        this.desk = desk;
        this.maxModelBytes = maxModelBytes;
    }

    /** Opens the jobs that are there and goes on with those that have not ended. */
    static Jobs open(Path folder, Desk desk, long maxModelBytes) throws IOException {
        isthmus.wire.OwnerOnly.folder(folder);
        Jobs jobs = new Jobs(folder, desk, maxModelBytes);
        List<Path> found = new ArrayList<>();
        try (var paths = Files.newDirectoryStream(folder, Files::isDirectory)) {
            paths.forEach(found::add);
        }
        found.sort(java.util.Comparator.comparing(Jobs::made));
        for (Path path : found) {
            if (!Files.exists(path.resolve("job.json"))) {
                LOG.warn("{} has no job.json and is left alone", path);
                continue;
            }
            String id = path.getFileName().toString();
            Job job = Job.open(id, new JobFolder(path), desk);
            if (job.state.phase == JobState.Phase.RECEIVING) {
                LOG.warn("job {}: its weights never came whole; it is dropped, and may be submitted again", id);
                job.close();
                job.folder.delete();
            } else {
                jobs.jobs.put(id, job);
            }
        }
        return jobs;
    }

    /** job.json is never written again, so its time is the job's age. */
    private static java.nio.file.attribute.FileTime made(Path job) {
        try {
            return Files.getLastModifiedTime(job.resolve("job.json"));
        } catch (IOException e) {
            return java.nio.file.attribute.FileTime.fromMillis(0);
        }
    }

    /** Makes a job, or finds the one that the same submission began before a cut. */
    UploadState submit(SubmitHeader header) throws IOException {
        JobSpec spec = header.job();
        Aggregators.of(spec.aggregator());
        if (header.bytes() > maxModelBytes)
            throw RefusalException.bad("too_large", "the header claims " + header.bytes()
                    + " bytes of weights; this server takes at most " + maxModelBytes, "job " + spec.name(),
                    "check the file, or raise the server's limit");
        Job job = desk.locked(() -> {
            for (Job old : jobs.values())
                if (old.isReceiving(header))
                    return old;
            return create(spec);
        });
        return job.beginWeights(header);
    }

    private Job create(JobSpec spec) {
        try {
            int number = 1;
            while (Files.exists(folder.resolve(spec.name() + "-" + number)))
                number++;
            String id = spec.name() + "-" + number;
            Job job = Job.open(id, JobFolder.create(folder.resolve(id), spec), desk);
            jobs.put(id, job);
            LOG.info("job {}: submitted", id);
            return job;
        } catch (IOException e) {
            throw new UncheckedIOException("job " + spec.name() + " cannot be stored: " + e.getMessage(), e);
        }
    }

    /** The job of that identity. */
    Job find(String id) {
        Job job = desk.locked(() -> jobs.get(id));
        if (job == null)
            throw new RefusalException(404,
                    new isthmus.wire.Refusal("no_such_job", "there is no such job", "job " + cut(id),
                            "list the jobs to see their names"));
        return job;
    }

    private static String cut(String id) { return id.length() <= 80 ? id : id.substring(0, 80) + "..."; }

    /** The next task of a site, or none after a while. {@code current} is the job that the site last worked for, or null. */
    Task poll(String site, String session, String current, long millis) throws InterruptedException {
        Task task = desk.await(() -> {
            Job last = current == null ? null : jobs.get(current);
            if (last != null && last.state.phase == JobState.Phase.ENDED)
                return Task.finished(last.id, last.state.closedRounds, last.state.outcome);
            for (Job job : jobs.values()) {
                Task next = job.taskFor(site, session);
                if (next != null)
                    return next;
            }
            return null;
        }, millis);
        return task == null ? Task.none() : task;
    }

    JobList list() {
        return desk.locked(() -> new JobList(jobs.values().stream().map(j -> {
            String phase = j.state.phase.name().toLowerCase(Locale.ROOT);
            String state = j.state.phase == JobState.Phase.ENDED ? j.state.outcome : phase;
            return new JobList.Line(j.id, state, phase, Math.min(j.state.round, j.spec.rounds()), j.spec.rounds());
        }).toList()));
    }

    /** Lets every job look at the clock. */
    void tick() { desk.locked(() -> jobs.values().forEach(Job::advance)); }

    @Override
    public void close() { desk.locked(() -> jobs.values().forEach(Job::close)); }
}
