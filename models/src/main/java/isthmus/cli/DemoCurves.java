package isthmus.cli;

import isthmus.report.CurvesChart;
import isthmus.report.CurvesChart.Curve;
import isthmus.report.CurvesChart.Panel;
import isthmus.task.PooledTraining;
import isthmus.wire.RoundRecord;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The demo's learning curves: loss and AUROC, together and alone. */
final class DemoCurves {
    private DemoCurves() {}

    static void draw(Path file, List<Hospital> hospitals, List<RoundRecord> rounds,
            Map<String, PooledTraining.Result> alone)
            throws IOException {
        List<Curve> loss = new ArrayList<>();
        List<Curve> auroc = new ArrayList<>();
        for (int i = 0; i < hospitals.size(); i++) {
            String name = hospitals.get(i).name();
            loss.add(new Curve(name + ", federated", i, false, rounds.stream().map(r -> trainLoss(r, name)).toList()));
            auroc.add(new Curve(name + ", federated", i, false,
                    rounds.stream().map(r -> Follower.auroc(r, name)).toList()));
            List<PooledTraining.Epoch> epochs = alone.get(name).epochs();
            loss.add(new Curve(name + ", alone", i, true,
                    perRound(epochs.stream().map(PooledTraining.Epoch::loss).toList(), rounds.size())));
            auroc.add(new Curve(name + ", alone", i, true,
                    perRound(epochs.stream().map(e -> e.validation().getOrDefault("auroc", Double.NaN)).toList(),
                            rounds.size())));
        }
        CurvesChart.write(file, "Three hospitals, one model: pneumonia on chest films",
                List.of(new Panel("Training loss", "round", loss),
                        new Panel("AUROC on the hospital's own validation films", "round", auroc)));
    }

    private static double trainLoss(RoundRecord round, String site) {
        return round.sites().stream().filter(s -> s.site().equals(site)).map(s -> s.train().get("loss"))
                .filter(java.util.Objects::nonNull)
                .findFirst().orElse(Double.NaN);
    }

    /** Of the passes that make up a round, the last one. */
    private static List<Double> perRound(List<Double> epochs, int rounds) {
        int each = epochs.size() / rounds;
        List<Double> some = new ArrayList<>();
        for (int i = each - 1; i < epochs.size(); i += each)
            some.add(epochs.get(i));
        return some;
    }
}
