package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.backend.Shelf;
import isthmus.nn.Seeds;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Kernels that serve one program after another, and memory that several programs share. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReuseTest {
    private static final int SEEDS = 20;

    private Backend backend;

    @BeforeAll
    void open() {
        backend = Backends.cpu(2);
        backend.enter();
    }

    @AfterAll
    void close() { backend.close(); }

    private static Graph graph(long seed) {
        Graph graph = Fuse.apply(RandomGraph.training(seed));
        Gradients.append(graph, RandomGraph.LOSS);
        return graph;
    }

    /** A program with weights of its own. */
    private final class Run implements AutoCloseable {
        private final Arena arena = Arena.ofConfined();
        private final Graph graph;
        private final WeightBuffer weights;
        private final WeightBuffer gradients;
        private final Program program;

        Run(long seed, Precision precision, Workspace workspace) {
            graph = graph(seed);
            weights = WeightBuffer.allocate(graph.table(), arena);
            gradients = WeightBuffer.allocate(graph.table(), arena);
            program = Program.compile(graph, backend, precision, weights, gradients, workspace, 0);
        }

        /** One step from weights and inputs that depend on the seed: every result, bit for bit. */
        Map<String, int[]> step(long seed) {
            graph.parameters().keySet().forEach(name -> fill(weights.slice(name), name + seed));
            fill(program.input(RandomGraph.IMAGE), RandomGraph.IMAGE + seed);
            fill(program.input(RandomGraph.LABELS), RandomGraph.LABELS + seed);
            program.run();
            Map<String, int[]> all = new TreeMap<>();
            for (String name : graph.outputs().keySet())
                all.put(name, program.output(name).toArray(ValueLayout.JAVA_INT));
            all.put("weights", weights.segment().toArray(ValueLayout.JAVA_INT));
            all.put("gradients", gradients.segment().toArray(ValueLayout.JAVA_INT));
            return all;
        }

        @Override
        public void close() {
            program.close();
            arena.close();
        }
    }

    private static void fill(MemorySegment at, String name) {
        long key = Seeds.key(5, name);
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++)
            at.setAtIndex(ValueLayout.JAVA_FLOAT, i, name.contains("running_var")
                    ? 0.5f + Seeds.uniform(key, i)
                    : name.startsWith(RandomGraph.LABELS)
                            ? Math.round(Seeds.uniform(key, i))
                            : 2 * Seeds.uniform(key, i) - 1);
    }

    private static void assertBits(Map<String, int[]> expected, Map<String, int[]> got) {
        assertEquals(expected.keySet(), got.keySet());
        expected.forEach((what, bits) -> assertArrayEquals(bits, got.get(what), what));
    }

    @ParameterizedTest
    @EnumSource(Precision.class)
    void kernelsThatServedAnotherProgramGiveTheSameBits(Precision precision) {
        for (long seed = 0; seed < SEEDS; seed++) {
            Map<String, int[]> fresh;
            List<String> implementations;
            // Two at once, so that the second has kernels of its own.
            try (Run other = new Run(seed, precision, null); Run run = new Run(seed, precision, null)) {
                other.step(1);
                fresh = run.step(7);
                implementations = run.program.listing();
            }
            try (Run first = new Run(seed, precision, null); Run second = new Run(seed, precision, null)) {
                assertBits(fresh, first.step(7));
                assertBits(fresh, second.step(7));
                assertBits(fresh, first.step(7));
                assertEquals(implementations, second.program.listing());
            }
        }
    }

    @Test
    void equalProgramsTakeTheKernelsThatAreThereAndNobodyElses() {
        List<String> closed = new ArrayList<>();
        var shelf = new Shelf(2);
        record Thing(String name, List<String> closed) implements AutoCloseable {
            @Override
            public void close() { closed.add(name); }
        }
        for (String name : List.of("a", "b", "c"))
            shelf.put(name, new Thing(name, closed));
        assertEquals(List.of("a"), closed, "the eldest makes room");
        assertTrue(shelf.take("a", Thing.class).isEmpty());
        assertEquals("b", shelf.take("b", Thing.class).orElseThrow().name());
        assertTrue(shelf.take("b", Thing.class).isEmpty(), "one program at a time");
        shelf.close();
        assertEquals(List.of("a", "c"), closed);
        Prepared used = Prepared.of(graph(3), backend, Precision.FP32, Rewrites.all());
        used.shelve();
        try (Prepared again = Prepared.of(graph(3), backend, Precision.FP32, Rewrites.all());
                Prepared second = Prepared.of(graph(3), backend, Precision.FP32, Rewrites.all());
                Prepared half = Prepared.of(graph(3), backend, Precision.BF16, Rewrites.all());
                Prepared other = Prepared.of(graph(4), backend, Precision.FP32, Rewrites.all())) {
            assertSame(used, again);
            for (Prepared p : List.of(second, half, other))
                assertNotSame(used, p);
        }
    }

    @Test
    void programsInOneWorkspaceTakeTheMemoryOfTheLargest() {
        for (long seed = 0; seed < SEEDS; seed += 2) {
            Map<String, int[]> one;
            Map<String, int[]> two;
            long most;
            try (Run a = new Run(seed, Precision.FP32, null); Run b = new Run(seed + 1, Precision.FP32, null)) {
                one = a.step(1);
                two = b.step(2);
                most = Math.max(a.program.plan().bytes(), b.program.plan().bytes());
            }
            boolean firstIsLarger;
            try (Run a = new Run(seed, Precision.FP32, null)) {
                firstIsLarger = a.program.plan().bytes() == most;
            }
            long large = firstIsLarger ? seed : seed + 1;
            try (Workspace workspace = new Workspace(backend);
                    Run a = new Run(large, Precision.FP32, workspace);
                    Run b = new Run(large == seed ? seed + 1 : seed, Precision.FP32, workspace)) {
                assertEquals(most, workspace.bytes());
                for (int i = 0; i < 2; i++) {
                    assertBits(firstIsLarger ? one : two, a.step(firstIsLarger ? 1 : 2));
                    assertBits(firstIsLarger ? two : one, b.step(firstIsLarger ? 2 : 1));
                }
            }
        }
    }
}
