package isthmus.reference;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import tools.jackson.databind.ObjectMapper;

/**
 * The reference cases without JUnit, for machines that have nothing but a JVM: a device, the folder of cases, and names of
 * cases to leave out. Prints a line of JSON an outcome; ends with 1 if one failed or none ran.
 */
final class ReferenceMain {
    /** What says most comes first. */
    private static final List<String> KINDS = List.of("op", "loss", "optimizer", "schedule", "model");

    private ReferenceMain() {}

    /** A case in every precision that it is for. */
    static List<Outcome> run(Case c, Backend backend) {
        return switch (c.kind()) {
            case "op" -> List.of(OpCases.run(c, backend));
            case "loss" -> List.of(LossCases.run(c, backend));
            case "optimizer" -> List.of(OptimizerCases.run(c, backend));
            case "schedule" -> List.of(ScheduleCases.run(c));
            case "model" ->
                List.of(ModelCases.run(c, Precision.FP32, backend), ModelCases.run(c, backend.amp(), backend));
            default -> List.of(Outcome.skipped(c.name(), "-", "kind " + c.kind() + " is not known"));
        };
    }

    /** The files of a folder's cases. */
    static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> all = Files.list(folder)) {
            return all.filter(f -> f.getFileName().toString().endsWith(".json") && !f.endsWith("fill.json")).sorted()
                    .toList();
        }
    }

    /** Runs all. */
    public static void main(String[] args) throws IOException {
        List<String> without = List.of(args).subList(2, args.length);
        List<Case> cases = files(Path.of(args[1])).stream().map(Case::read).filter(c -> !without.contains(c.name()))
                .sorted(Comparator.comparingInt(c -> KINDS.indexOf(c.kind()))).toList();
        boolean good = !cases.isEmpty();
        try (Backend backend = Backends.open(args[0], 1)) {
            backend.enter();
            for (Case c : cases)
                good &= say(c, backend);
        }
        System.exit(good ? 0 : 1);
    }

    /** One case must not end the others. */
    private static boolean say(Case c, Backend backend) {
        try {
            boolean good = true;
            for (Outcome o : run(c, backend)) {
                print(c.name(), o.precision, o.isSkipped() ? "skip" : o.passed() ? "pass" : "FAIL", o.toString());
                good &= o.isSkipped() || o.passed();
            }
            return good;
        } catch (RuntimeException | AssertionError e) {
            print(c.name(), "-", "FAIL", e.toString());
            return false;
        }
    }

    private static void print(String name, String precision, String outcome, String words) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("case", name);
        line.put("precision", precision);
        line.put("outcome", outcome);
        line.put("words", words);
        System.out.println(new ObjectMapper().writeValueAsString(line));
    }
}
