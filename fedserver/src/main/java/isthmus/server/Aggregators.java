package isthmus.server;

import isthmus.wire.NearestName;
import isthmus.wire.RefusalException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;

/** The catalogue of aggregation rules. Jobs choose by name; nothing is loaded that is not compiled in. */
final class Aggregators {
    private record Rule(List<String> settings, Function<Map<String, Double>, Aggregator> make) {}

    private static final Map<String, Rule> RULES = new TreeMap<>(Map.of(
            "fedavg", new Rule(List.of(), s -> new FedAvg()),
            "fedprox", new Rule(List.of("mu"), s -> new FedProx(s.get("mu")))));

    private Aggregators() {}

    /** The rule that a job's {@code aggregator} object names, with all its settings and no others. */
    static Aggregator of(Map<String, JsonNode> chosen) {
        JsonNode name = chosen.get("rule");
        if (name == null || !name.isString())
            throw refused("rule is missing", "known: " + String.join(", ", RULES.keySet()));
        Rule rule = RULES.get(name.stringValue());
        if (rule == null)
            throw refused("there is no rule \"" + name.stringValue() + "\"",
                    NearestName.of(name.stringValue(), List.copyOf(RULES.keySet())));
        Map<String, Double> settings = new HashMap<>();
        for (var entry : chosen.entrySet()) {
            if (entry.getKey().equals("rule"))
                continue;
            if (!rule.settings.contains(entry.getKey()))
                throw refused("rule " + name.stringValue() + " has no setting \"" + entry.getKey() + "\"",
                        NearestName.of(entry.getKey(), rule.settings));
            if (!entry.getValue().isNumber())
                throw refused(entry.getKey() + " is " + entry.getValue() + ", not a number", "write a number");
            settings.put(entry.getKey(), entry.getValue().doubleValue());
        }
        for (String setting : rule.settings)
            if (!settings.containsKey(setting))
                throw refused("rule " + name.stringValue() + " needs \"" + setting + "\"", "add it");
        return rule.make.apply(settings);
    }

    private static RefusalException refused(String what, String cure) {
        return RefusalException.bad("bad_aggregator", what, "job, aggregator", cure);
    }
}
