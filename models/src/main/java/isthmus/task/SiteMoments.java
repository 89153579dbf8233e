package isthmus.task;

import isthmus.client.RoundTask;
import isthmus.tensor.Safetensors;
import isthmus.train.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A site's optimizer from round to round, for recipes with {@code "optimizer_state": "keep"}: in memory, and in a file, so
 * that a site which is started again goes on with it. Moments never leave the site.
 */
final class SiteMoments {
    private static final Logger LOG = LoggerFactory.getLogger(SiteMoments.class);
    private static final String JOB = "job";
    private static final String ROUND = "round";
    private static final String WEIGHTS = "weights";

    private final Optional<Path> file;
    private String job = "";

    /** Keeps them in memory only where there is no folder. */
    SiteMoments(Optional<Path> folder) {
        this.file = folder.map(f -> f.resolve("optimizer.safetensors"));
    }

    /** The trainer in memory is another: what it had is gone. */
    void forget() { job = ""; }

    /**
     * Places the trainer on its job's schedule, with the moments of the round before if there are any.
     *
     * @return what was done, for people
     */
    String begin(Trainer trainer, RoundTask task, long firstStep, long steps, double proximal) {
        String done = place(trainer, task, firstStep, steps, proximal);
        LOG.info("job {} round {}: {}", task.job(), task.round(), done);
        return done;
    }

    private String place(Trainer trainer, RoundTask task, long firstStep, long steps, double proximal) {
        if (job.equals(task.job())) {
            trainer.resume(firstStep, steps, proximal);
            return "the optimizer keeps its moments";
        }
        Optional<String> read = read(trainer, task);
        if (read.isPresent()) trainer.resume(firstStep, steps, proximal);
        else
            trainer.begin(firstStep, steps, proximal);
        job = task.job();
        return read.map(round -> "the optimizer's moments of round " + round + " were read from the disk")
                .orElse(task.round() == 1
                        ? "the optimizer begins"
                        : "the optimizer begins anew: there are no moments of an earlier round of this job");
    }

    /** The round that the file's moments are of, if they are this job's and this model's. */
    private Optional<String> read(Trainer trainer, RoundTask task) {
        if (file.isEmpty() || !Files.isRegularFile(file.get())) return Optional.empty();
        try {
            Map<String, String> about = Safetensors.inspect(file.get()).metadata();
            if (!task.job().equals(about.get(JOB))
                    || !trainer.weights().table().digest().equals(about.get(WEIGHTS)))
                return Optional.empty();
            trainer.loadOptimizer(file.get());
            return Optional.of(String.valueOf(about.get(ROUND)));
        } catch (IOException | RuntimeException e) {
            // Moments speed training up; without them it is as right, so a damaged file is no reason to stop.
            LOG.info("{}: not taken: {}", file.get(), e.toString());
            return Optional.empty();
        }
    }

    /** Writes the moments after a round. */
    void keep(Trainer trainer, RoundTask task) throws IOException {
        if (file.isEmpty()) return;
        trainer.saveOptimizer(file.get(), Map.of(JOB, task.job(), ROUND, Integer.toString(task.round()), WEIGHTS,
                trainer.weights().table().digest()));
    }
}
