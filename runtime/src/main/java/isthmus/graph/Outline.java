package isthmus.graph;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import java.util.List;

/**
 * What a graph would be when compiled, decided as far as a program's is, without any of its memory.
 *
 * @param arenaBytes of the plan
 * @param calls in running order
 */
public record Outline(long arenaBytes, List<Call> calls) {
    /** Prepares a graph and lets go of it. */
    public static Outline of(Graph graph, Backend backend, Precision precision) {
        try (Prepared prepared = Prepared.of(graph, backend, precision, Rewrites.chosen())) {
            return new Outline(prepared.plan().bytes(), prepared.calls());
        }
    }
}
