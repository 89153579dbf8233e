package isthmus.client;

/**
 * How a job ended.
 *
 * @param job its identity
 * @param rounds how many were closed
 * @param state {@code done} or {@code aborted}
 */
public record JobOutcome(String job, int rounds, String state) {}
