package isthmus.wire;

import java.util.Map;
import tools.jackson.databind.JsonNode;

/**
 * What a site is to do next, the server's answer to a poll.
 *
 * @param kind which of the other parts matter
 * @param job job's identity, or null when there is nothing to do
 * @param round from 1 on; the weights to fetch are those of round {@code round - 1} for TRAIN, {@code round} for VALIDATE
 * @param rounds how many there will be
 * @param weights what to fetch
 * @param rule what the aggregation rule adds, such as mu of FedProx
 * @param recipe how to train, as the job says
 * @param model what to train, as the job says
 * @param noProgressSeconds show progress at least so often
 * @param secondsLeft until the round's deadline
 * @param state how a FINISHED job ended
 */
public record Task(Kind kind, String job, int round, int rounds, Weights weights, Map<String, Double> rule,
        JsonNode recipe, JsonNode model, int noProgressSeconds, long secondsLeft, String state) {
    public Task {
        recipe = Json.orNull(recipe);
        model = Json.orNull(model);
    }

    /** What to do. */
    public enum Kind {
        /** Nothing now: poll again. */
        WAIT,
        /** Fetch the global weights, train, send the difference. */
        TRAIN,
        /** Fetch the new global weights, validate, send the metrics. */
        VALIDATE,
        /** The job that the poll asked for has ended. */
        FINISHED
    }

    /**
     * A safetensors file on the server.
     *
     * @param round the round that made it; 0 is the job's start
     * @param bytes size of the whole file
     * @param sha256 of the whole file
     * @param table digest of its weight table
     */
    public record Weights(int round, long bytes, String sha256, String table) {
        public Weights {
            Checks.range("weights.bytes", bytes, 10, 1L << 42);
            Checks.digest("weights.sha256", sha256);
            Checks.digest("weights.table", table);
        }
    }

    /** Nothing to do. */
    public static Task none() {
        return new Task(Kind.WAIT, null, 0, 0, null, null, null, null, 0, 0, null);
    }

    /** The end of a job. */
    public static Task finished(String job, int rounds, String state) {
        return new Task(Kind.FINISHED, job, rounds, rounds, null, null, null, null, 0, 0, state);
    }
}
