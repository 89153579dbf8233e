package isthmus.experiment;

import java.util.List;

/**
 * What the proof of concept found.
 *
 * @param machine CPU and cores that the times are of
 * @param amp what AMP was on this machine
 * @param films training films of all sites
 * @param valFilms films that accuracy and AUROC are of, all sites pooled
 * @param warmStart accuracy of the model that all four configurations began with
 * @param rows one a configuration
 */
public record PocReport(String machine, String amp, PocSettings settings, int films, int valFilms, Score warmStart,
        List<Row> rows, double seconds) {
    /** A model's quality on all validation films; films that it calls rightly at probability 0.5, and AUROC. */
    public record Score(double accuracy, double auroc) {}

    /** One round: mean training loss of its last pass, the new global model's quality, and what training took. */
    public record Round(double loss, double accuracy, double auroc, double seconds) {}

    /**
     * One configuration.
     *
     * @param accuracy mean over the last rounds, at most five
     * @param auroc the same
     * @param accuracyStdLastRounds standard deviation of the accuracy over the same rounds
     * @param secondsPerRound median; one site after the other, training and folding, without validation
     * @param bytesPerRound what one site receives and sends in a round: the exchanged range twice
     * @param bytesOnce the frozen base, which a site receives before its first round
     * @param speedRatio seconds a round of full fp32 over this one's
     * @param imagesPerSecond films trained on a second
     * @param imagesRatio this one's films a second over those of full fp32
     * @param bytesShare this one's bytes a round over those of full training
     * @param trained parameters that training changes
     * @param arenaBytes memory of one step's activations, gradients of activations and scratch
     * @param stateBytes memory of gradients and moments
     */
    public record Row(String configuration, String precision, double learningRate, int localEpochs, double accuracy,
            double auroc, double accuracyStdLastRounds, double secondsPerRound, long bytesPerRound, long bytesOnce,
            double speedRatio, double imagesPerSecond, double imagesRatio, double bytesShare, long trained,
            long arenaBytes, long stateBytes, List<Round> rounds) {}
}
