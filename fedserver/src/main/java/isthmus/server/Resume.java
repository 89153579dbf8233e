package isthmus.server;

import isthmus.wire.Json;
import isthmus.wire.RoundRecord;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Brings a job back to where its journal says it was. */
final class Resume {
    private static final Logger LOG = LoggerFactory.getLogger(Resume.class);
    private final Job job;
    private final java.io.BufferedWriter metrics;
    private final Path metricsFile;

    Resume(Job job) throws IOException {
        this.job = job;
        this.metricsFile = job.folder.path().resolve("metrics.jsonl");
        this.metrics = Files.newBufferedWriter(metricsFile.resolveSibling("metrics.jsonl.new"));
    }

    void replay(Event event) {
        job.state.apply(event);
        if (event instanceof Event.Closed closed)
            write(closed.record());
    }

    private void write(RoundRecord record) {
        try {
            metrics.write(Json.text(record));
            metrics.newLine();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The journal is read: find the staged updates, and wait for the sites that took part. Serves nobody yet. */
    void finish() throws IOException {
        metrics.close();
        isthmus.wire.AtomicFiles.move(metricsFile.resolveSibling("metrics.jsonl.new"), metricsFile);
        JobState state = job.state;
        if (state.phase == JobState.Phase.ENDED || state.phase == JobState.Phase.RECEIVING)
            return;
        long now = System.nanoTime();
        state.joined.forEach(site -> job.members.expect(site, now));
        if (state.phase == JobState.Phase.TRAIN)
            recoverUpdates();
        LOG.info("job {}: resumed in round {} of {} ({}), {} updates accepted, {} reports", job.id, state.round,
                job.spec.rounds(), state.phase, state.accepted.size(), state.reports.size());
        if (state.closedRounds >= job.spec.rounds())
            job.end();
    }

    private void recoverUpdates() throws IOException {
        for (Event.Accepted accepted : List.copyOf(job.state.accepted.values())) {
            if (job.uploads.recover(accepted))
                continue;
            LOG.error("job {} round {} site {}: its accepted update is damaged on disk; the site is asked again",
                    job.id,
                    accepted.round(), accepted.site());
            job.withdraw(accepted);
        }
    }
}
