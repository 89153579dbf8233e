package isthmus.bench.gpu;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * One part of the check.
 *
 * @param name by which it can be chosen
 * @param least seconds below which it is not worth beginning
 * @param most seconds after which it is ended
 * @param command program and arguments
 * @param impossible why it cannot be run here
 * @param note what is to be known of its figures
 */
record Part(String name, String title, int least, int most, List<String> command, Map<String, String> environment,
        Optional<String> impossible, String note) {
    Part(String name, String title, int least, int most, List<String> command) {
        this(name, title, least, most, command, Map.of(), Optional.empty(), "");
    }

    Part unless(Optional<String> problem) {
        return new Part(name, title, least, most, command, environment, impossible.or(() -> problem), note);
    }

    Part in(Map<String, String> variables) {
        return new Part(name, title, least, most, command, variables, impossible, note);
    }

    Part withoutLimit() {
        return new Part(name, title, least, Integer.MAX_VALUE, command, environment, impossible, note);
    }

    Part noting(String words) { return new Part(name, title, least, most, command, environment, impossible, words); }
}
