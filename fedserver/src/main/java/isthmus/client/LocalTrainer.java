package isthmus.client;

import isthmus.tensor.WeightBuffer;

/**
 * Trains and validates on a site's own data. One {@link FederationClient} calls it from one thread at a time, the thread
 * of {@link FederationClient#run}; an exception ends the task, and its message is reported to the server.
 */
public interface LocalTrainer {
    /**
     * Trains the global model on the site's training data.
     *
     * @param weights on entry the global weights, on return the trained ones, in place; valid during the call only
     * @param task round, recipe and what the aggregation rule adds
     * @param progress to be told at least every {@link RoundTask#noProgressSeconds()}
     * @return the number of training samples (the update's weight in the fold) and metrics such as loss
     */
    SiteResult train(WeightBuffer weights, RoundTask task, Progress progress) throws Exception;

    /**
     * Measures a global model on the site's validation data.
     *
     * @param weights the new global weights; not to be changed; valid during the call only
     * @return the number of validation samples (the weight of the metrics) and the metrics; leave out what is undefined
     */
    SiteResult validate(WeightBuffer weights, RoundTask task, Progress progress) throws Exception;
}
