package isthmus.cli;

import isthmus.client.LocalTrainer;
import isthmus.client.Progress;
import isthmus.client.RoundTask;
import isthmus.client.SiteResult;
import isthmus.task.Recipe;
import isthmus.tensor.WeightBuffer;
import isthmus.train.TrainingException;
import java.util.concurrent.CancellationException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps file names at home. What goes wrong in training is told to the server, and the names of films and folders can tell
 * who the patients are: only what cannot hold one passes as it is, everything else stays in this site's own log.
 */
record DiscreetTrainer(LocalTrainer trainer) implements LocalTrainer {
    private static final Logger LOG = LoggerFactory.getLogger(DiscreetTrainer.class);

    /** What the server may know; the cause, which it never sees, says the rest. */
    static final class FilmsException extends Exception {
        private static final long serialVersionUID = 1L;

        FilmsException(Throwable cause) {
            super("this site's films cannot be used; its own log says which and why", cause);
        }
    }

    private interface Work {
        SiteResult run() throws Exception;
    }

    @Override
    public SiteResult train(WeightBuffer weights, RoundTask task, Progress progress) throws Exception {
        return guarded(task, () -> trainer.train(weights, task, progress));
    }

    @Override
    public SiteResult validate(WeightBuffer weights, RoundTask task, Progress progress) throws Exception {
        return guarded(task, () -> trainer.validate(weights, task, progress));
    }

    private static SiteResult guarded(RoundTask task, Work work) throws Exception {
        readable(task.recipe());
        try {
            return work.run();
        } catch (TrainingException | CancellationException | InterruptedException e) {
            throw e;
        } catch (Exception e) {
            LOG.info("job {} round {}: {}", task.job(), task.round(), e.getMessage(), e);
            throw new FilmsException(e);
        }
    }

    /** The recipe is the job author's own: what is wrong in it may be told, and is found before any film is touched. */
    private static void readable(String recipe) {
        Recipe.fromJson(recipe).build();
    }
}
