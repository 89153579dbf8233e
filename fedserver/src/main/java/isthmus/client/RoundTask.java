package isthmus.client;

import java.util.Map;

/**
 * One task of one round.
 *
 * @param job the job's identity
 * @param round from 1 on
 * @param rounds how many there will be
 * @param recipe JSON text of how to train, as the job's author wrote it; {@code null} in text if there is none
 * @param model JSON text of what to train
 * @param rule what the aggregation rule adds, such as {@code mu} of FedProx
 * @param noProgressSeconds show progress at least so often
 * @param secondsLeft until the round's deadline
 */
public record RoundTask(String job, int round, int rounds, String recipe, String model, Map<String, Double> rule,
        int noProgressSeconds, long secondsLeft) {}
