package isthmus.server;

import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.wire.Json;
import isthmus.wire.RoundRecord;
import isthmus.wire.Sha256;
import isthmus.wire.Task;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The heavy steps of a round, on a worker thread. Each writes files that nobody looks at yet and returns the events that
 * make them count: a server killed in between does the step again, from the same inputs to the same bits.
 */
record RoundWork(Job job) {
    /** Folds the accepted updates into a copy of the round's start and writes it as the round's weights. */
    List<Event> fold(Slots accepted, int round, Task.Weights base) throws IOException {
        try (Arena arena = Arena.ofShared()) {
            Safetensors.Mapped start = Safetensors.map(job.folder.global(base.round()), arena);
            WeightBuffer next = WeightBuffer.allocate(start.weights().table(), arena);
            next.copyFrom(start.weights());
            job.aggregator.fold(accepted, next);
            String inputs = inputs(accepted, base);
            Map<String, String> metadata = new TreeMap<>(start.metadata());
            metadata.put("isthmus.job", job.id);
            metadata.put("isthmus.round", Integer.toString(round));
            metadata.put("isthmus.rule", Json.text(job.spec.aggregator()));
            metadata.put("isthmus.base", base.sha256());
            metadata.put("isthmus.inputs", inputs);
            metadata.put("isthmus.sites", Json.text(accepted.sites().stream().map(Slots.Update::site).toList()));
            if (job.spec.model() != null)
                metadata.put("isthmus.model", job.spec.model().toString());
            if (job.spec.recipe() != null)
                metadata.put("isthmus.recipe", job.spec.recipe().toString());
            return List.of(new Event.Folded(round, job.folder.writeGlobal(round, next, metadata), inputs));
        }
    }

    /** One digest over all that the new weights are made of: chained by the base's, it names the whole history. */
    private String inputs(Slots accepted, Task.Weights base) {
        StringBuilder text = new StringBuilder(base.sha256()).append('\n').append(Json.text(job.spec.aggregator()));
        for (Slots.Update update : accepted.sites())
            text.append('\n').append(update.site()).append(' ').append(update.samples()).append(' ')
                    .append(job.state.accepted.get(update.site()).sha256());
        return Sha256.of(text.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** Judges the round's weights by the sites' reports, keeps best and last, and ends the job after its last round. */
    List<Event> close(long openedNanos) throws IOException {
        JobState state = job.state;
        Double key = state.weightedMean(job.spec.keyMetric());
        boolean best = state.isBest(key);
        Map<String, Double> means = new TreeMap<>();
        var names = new TreeSet<String>();
        state.reports.values().forEach(r -> names.addAll(r.metrics().keySet()));
        names.forEach(name -> means.put(name, state.weightedMean(name)));
        means.values().removeIf(java.util.Objects::isNull);
        Map<String, String> metadata = Map.of("isthmus.key_metric", job.spec.keyMetric(), "isthmus.metrics",
                Json.text(means));
        if (best)
            job.folder.keep("best", state.round, metadata);
        job.folder.keep("last", state.round, metadata);
        double seconds = (System.nanoTime() - openedNanos) / 1e9;
        List<Event> events = new ArrayList<>();
        events.add(new Event.Closed(new RoundRecord(state.round, key, best, seconds, sites())));
        if (state.round == job.spec.rounds())
            events.add(new Event.Ended("done", ""));
        return events;
    }

    private List<RoundRecord.Site> sites() {
        var names = new TreeSet<>(job.state.accepted.keySet());
        names.addAll(job.state.reports.keySet());
        return names.stream().map(name -> {
            Event.Accepted a = job.state.accepted.get(name);
            Event.Reported r = job.state.reports.get(name);
            return new RoundRecord.Site(name, a == null ? 0 : a.samples(), a == null ? 0 : a.bytes(),
                    a == null ? 0 : a.seconds(), a == null ? Map.of() : a.metrics(), r == null ? 0 : r.samples(),
                    r == null ? Map.of() : r.metrics());
        }).toList();
    }
}
