package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Precision;
import isthmus.op.Kind;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The memory plan of random training graphs; a failing case is named by its seed. */
class PlanTest {
    /** A planned graph, and what the plan was told. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Planned(Graph graph, Function<Value, DType> types, long[] scratch, Plan plan) {
        boolean pinned(Value v) {
            return v.role() == Value.Role.PARAMETER || graph.parameterGradients().containsValue(v);
        }

        boolean isView(Node n) { return Plan.isView(n, types) && !pinned(n.out(0)); }
    }

    static LongStream seeds() { return LongStream.range(0, 200); }

    private static Planned plan(long seed) {
        Graph graph = RandomGraph.training(seed);
        Gradients.append(graph, RandomGraph.LOSS);
        SplittableRandom random = new SplittableRandom(seed);
        Precision precision = random.nextBoolean() ? Precision.FP32 : Precision.BF16;
        Function<Value, DType> types = v -> v.spec().kind() == Kind.ACTIVATION
                ? precision.compute()
                : v.spec().kind() == Kind.INDEX ? DType.U8 : DType.F32;
        long[] scratch = new long[graph.nodes().size()];
        for (int i = 0; i < scratch.length; i++)
            scratch[i] = random.nextInt(4) == 0 ? 1 + random.nextInt(5000) : 0;
        Plan plan = Plan.of(graph, types,
                v -> v.role() == Value.Role.PARAMETER || graph.parameterGradients().containsValue(v), scratch);
        return new Planned(graph, types, scratch, plan);
    }

    /**
     * Plays the program on memory that remembers who wrote each cell last. Knows nothing of the plan's own idea of lifetimes:
     * whatever a node reads must still be what its producer wrote.
     */
    @ParameterizedTest
    @MethodSource("seeds")
    void everyNodeReadsWhatItsProducerWrote(long seed) {
        Planned p = plan(seed);
        int[] cells = new int[Math.toIntExact(p.plan.bytes())];
        Arrays.fill(cells, -1);
        p.graph.inputs().values().forEach(v -> write(p, cells, v));
        for (int i = 0; i < p.graph.nodes().size(); i++) {
            Node node = p.graph.nodes().get(i);
            if (p.isView(node)) continue;
            // Results first, then scratch: if they shared memory with an input, the reads below would see it.
            for (Value v : node.outputs())
                write(p, cells, v);
            Plan.Block scratch = p.plan.scratch(i);
            if (scratch != null)
                Arrays.fill(cells, (int) scratch.offset(), (int) (scratch.offset() + scratch.bytes()), -2);
            for (Value v : node.inputs())
                read(p, cells, v, node);
            for (Value v : node.outputs())
                read(p, cells, v, node);
        }
        p.graph.outputs().values().forEach(v -> read(p, cells, v, p.graph.nodes().getLast()));
    }

    private static void write(Planned p, int[] cells, Value v) {
        Plan.Block b = p.plan.block(v);
        if (b == null) return;
        Arrays.fill(cells, (int) b.offset(), (int) (b.offset() + bytes(p, v)), p.plan.rootOf(v));
    }

    private static void read(Planned p, int[] cells, Value v, Node reader) {
        Plan.Block b = p.plan.block(v);
        if (b == null) {
            assertTrue(p.pinned(p.graph.values().get(p.plan.rootOf(v))), () -> v + " has no place");
            return;
        }
        for (int at = (int) b.offset(); at < b.offset() + bytes(p, v); at++)
            assertEquals(p.plan.rootOf(v), cells[at], () -> reader + " reads " + v + " after it was overwritten");
    }

    private static long bytes(Planned p, Value v) { return v.shape().elements() * p.types.apply(v).bytes(); }

    @ParameterizedTest
    @MethodSource("seeds")
    void blocksAreAlignedAndTheArenaEndsWithTheLastOne(long seed) {
        Plan plan = plan(seed).plan;
        long end = 0;
        long all = 0;
        for (Plan.Block b : plan.blocks()) {
            assertTrue(b.offset() >= 0 && b.offset() % Plan.ALIGNMENT == 0, () -> b + " is not aligned");
            end = Math.max(end, aligned(b.offset() + b.bytes()));
            all += aligned(b.bytes());
        }
        assertEquals(end, plan.bytes());
        assertTrue(plan.bytes() <= all, "sharing takes more than not sharing");
        assertTrue(plan.bytes() >= needed(plan), "less than is alive at one time");
    }

    /** The most that is alive at any one time. */
    private static long needed(Plan plan) {
        List<Plan.Block> blocks = plan.blocks();
        long most = 0;
        for (Plan.Block now : blocks) {
            long alive = 0;
            for (Plan.Block b : blocks)
                if (b.first() <= now.first() && now.first() <= b.last()) alive += aligned(b.bytes());
            most = Math.max(most, alive);
        }
        return most;
    }

    private static long aligned(long n) { return (n + Plan.ALIGNMENT - 1) / Plan.ALIGNMENT * Plan.ALIGNMENT; }

    @ParameterizedTest
    @MethodSource("seeds")
    void viewsShareMemoryAndPinnedValuesTakeNone(long seed) {
        Planned p = plan(seed);
        List<Node> views = new ArrayList<>();
        for (Node n : p.graph.nodes()) {
            if (!p.isView(n)) continue;
            views.add(n);
            assertSame(p.plan.block(n.in(0)), p.plan.block(n.out(0)), n::toString);
        }
        p.graph.parameters().values().forEach(v -> assertNull(p.plan.block(v), v::toString));
        p.graph.parameterGradients().values().forEach(v -> assertNull(p.plan.block(v), v::toString));
        if (p.types.apply(p.graph.nodes().getFirst().out(0)) == DType.F32)
            assertTrue(!views.isEmpty(), "in float32 the image's cast is a view");
    }

    /** Over all seeds together sharing must save a good part, else the planner does not plan. */
    @org.junit.jupiter.api.Test
    void sharingSavesMemory() {
        long planned = 0;
        long apart = 0;
        long least = 0;
        for (long seed : seeds().toArray()) {
            Plan plan = plan(seed).plan;
            planned += plan.bytes();
            apart += plan.blocks().stream().mapToLong(b -> aligned(b.bytes())).sum();
            least += needed(plan);
        }
        assertTrue(planned < 0.8 * apart, planned + " bytes planned, " + apart + " without sharing");
        assertTrue(planned < 1.1 * least, planned + " bytes planned, " + least + " alive at one time at least");
    }
}
