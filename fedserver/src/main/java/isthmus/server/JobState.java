package isthmus.server;

import isthmus.wire.RoundRecord;
import isthmus.wire.Task;
import java.util.Map;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** What a job's events add up to. Its size does not depend on the number of rounds. Not thread-safe: see {@link Desk}. */
final class JobState {
    /** What a job is doing. */
    enum Phase {
        RECEIVING, TRAIN, VALIDATE, ENDED
    }

    Phase phase = Phase.RECEIVING;
    int round;
    int closedRounds;
    /** The newest global weights. */
    Task.Weights global;
    /** This round's updates by site; the order of sites is the order of the fold. */
    final NavigableMap<String, Event.Accepted> accepted = new TreeMap<>();
    final NavigableMap<String, Event.Reported> reports = new TreeMap<>();
    /** Every site that ever took a task. */
    final NavigableSet<String> joined = new TreeSet<>();
    /** Digest over what the newest global weights were made of. */
    String inputs = "";
    /** Digests of the updates of the round before: a site whose acknowledgement was lost asks for them again. */
    private Map<String, String> previous = Map.of();
    int bestRound;
    Double bestValue;
    String outcome = "";
    String reason = "";

    void apply(Event event) {
        switch (event) {
            case Event.Started e -> {
                global = e.weights();
                round = 1;
                phase = Phase.TRAIN;
            }
            case Event.Joined e -> joined.add(e.site());
            case Event.Accepted e -> accepted.put(e.site(), e);
            case Event.Withdrawn e -> accepted.remove(e.site());
            case Event.Folded e -> {
                global = e.weights();
                inputs = e.inputs();
                phase = Phase.VALIDATE;
            }
            case Event.Reported e -> reports.put(e.site(), e);
            case Event.Closed e -> close(e.record());
            case Event.Ended e -> {
                outcome = e.state();
                reason = e.reason();
                phase = Phase.ENDED;
            }
        }
    }

    private void close(RoundRecord record) {
        if (record.best()) {
            bestRound = record.round();
            bestValue = record.keyMetric();
        }
        closedRounds = record.round();
        previous = accepted.values().stream().collect(Collectors.toMap(Event.Accepted::site, Event.Accepted::sha256));
        accepted.clear();
        reports.clear();
        round = record.round() + 1;
        phase = Phase.TRAIN;
    }

    /** Whether the round before counted exactly this update. */
    boolean wasAccepted(String site, int ofRound, String sha256) {
        return ofRound == closedRounds && sha256.equals(previous.get(site));
    }

    /** Sample-weighted mean of a metric over the reports that have it, summed in the order of sites; null if none has. */
    Double weightedMean(String metric) {
        double sum = 0;
        double weight = 0;
        for (Event.Reported report : reports.values()) {
            Double value = report.metrics().get(metric);
            if (value == null || report.samples() == 0)
                continue;
            sum += value * report.samples();
            weight += report.samples();
        }
        return weight == 0 ? null : sum / weight;
    }

    /** A first value is better than none; a model with no value is best only while no other has one. */
    boolean isBest(Double value) {
        if (value == null)
            return bestValue == null;
        return bestValue == null || value > bestValue;
    }
}
