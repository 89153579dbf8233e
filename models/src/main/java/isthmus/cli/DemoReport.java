package isthmus.cli;

import java.util.List;
import java.util.Map;

/**
 * What a demo measured.
 *
 * @param parameters numbers that travel each way: weights and statistics of batch norm
 * @param bytesUpPerSiteRound weight bytes that a site sent in a round
 * @param onnxMaxAbsDiff largest difference of a probability between ONNX Runtime and training on all validation films
 * @param onnxMaxLogitDiff the same of a logit
 * @param aurocOnSites by model (federated, or the hospital that trained it alone), AUROC on each hospital's films
 * @param model federated weights (safetensors), the best round's
 * @param finding one film and what the exported model says of it
 */
record DemoReport(double seconds, double secondsToFirstRound, int rounds, int bestRound, long parameters,
        long bytesUpPerSiteRound,
        double onnxMaxAbsDiff, double onnxMaxLogitDiff, double aurocAloneMean, double aurocFederatedMean,
        List<Site> sites,
        Map<String, Map<String, Double>> aurocOnSites, List<Round> history, Film finding, String model, String onnx,
        String curves,
        String folder) {
    /**
     * A hospital; all figures are on its validation films.
     *
     * @param aurocOwn the model that this hospital trained alone
     * @param aurocAlone the mean over the models that the hospitals trained alone
     * @param aurocFederated the federated model
     */
    record Site(String name, int trainImages, int valImages, double aurocOwn, double aurocAlone,
            double aurocFederated) {}

    /** A round of the federation. */
    record Round(int round, double loss, Map<String, Double> auroc, Double mean, double seconds) {}

    /** A film, what its table says and what the model says. */
    record Film(String image, String label, Double truth, double probability) {}
}
