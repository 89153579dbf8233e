package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.op.Concat;
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
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The memory plan of random training graphs; a failing case is named by its seed. */
class PlanTest {
    private static Backend backend;

    @BeforeAll
    static void open() { backend = Backends.cpu(1); }

    @AfterAll
    static void close() { backend.close(); }

    /** A planned graph, and what the plan was told. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Planned(Graph graph, Function<Value, DType> types, long[] scratch, Layout layout, Plan plan) {
        boolean pinned(Value v) { return PlanTest.pinned(graph, v); }

        long size(Value v) { return types.apply(v).bytes(); }
    }

    private static boolean pinned(Graph graph, Value v) {
        return v.role() == Value.Role.PARAMETER || graph.parameterGradients().containsValue(v);
    }

    static LongStream seeds() { return LongStream.range(0, 200); }

    /** Every second graph is rewritten, with all rewrites or some. */
    private static Planned plan(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        Rewrites rewrites = seed % 2 == 0
                ? Rewrites.only()
                : seed % 4 == 1
                        ? Rewrites.all()
                        : Rewrites.only(Arrays.stream(Rewrite.values())
                                .filter(r -> random.nextBoolean()).toArray(Rewrite[]::new));
        return plan(seed, random, rewrites);
    }

    private static Planned plan(long seed, SplittableRandom random, Rewrites rewrites) {
        Graph forward = rewrites.beforeGradients(RandomGraph.training(seed));
        Gradients.append(forward, RandomGraph.LOSS);
        Graph graph = rewrites.afterGradients(forward, backend, Precision.BF16);
        // So few channels our kernels do not take.
        if (rewrites.has(Rewrite.NORMS_ON_THE_WAY)) graph = JoinNorms.apply(graph, (norm, reader) -> true);
        // Of so small a graph nothing is cheap enough.
        if (rewrites.has(Rewrite.RECOMPUTE)) graph = Recompute.apply(graph, Double.MAX_VALUE);
        return plan(graph, random, rewrites);
    }

    private static Planned plan(Graph graph, SplittableRandom random, Rewrites rewrites) {
        Precision precision = random.nextBoolean() ? Precision.FP32 : Precision.BF16;
        Function<Value, DType> types = v -> v.spec().kind() == Kind.ACTIVATION
                ? precision.compute()
                : v.spec().kind() == Kind.BYTE ? DType.U8 : DType.F32;
        long[] scratch = new long[graph.nodes().size()];
        for (int i = 0; i < scratch.length; i++)
            scratch[i] = random.nextInt(4) == 0 ? 1 + random.nextInt(5000) : 0;
        Layout layout = new Layout(graph, types, v -> pinned(graph, v), backend, rewrites);
        Plan plan = Plan.of(graph, layout, types, v -> pinned(graph, v), scratch);
        return new Planned(graph, types, scratch, layout, plan);
    }

    /**
     * Plays the program on memory that remembers what was written to each cell. Knows nothing of the plan's own idea of
     * lifetimes: whatever a node reads must still be what its producer wrote, channel by channel.
     */
    @ParameterizedTest
    @MethodSource("seeds")
    void everyNodeReadsWhatItsProducerWrote(long seed) { new Played(plan(seed)).play(); }

    /** A program's memory, an int a byte, and what each channel of each row of each value stands for. */
    private static final class Played {
        private final Planned p;
        private final int[] cells;
        /** By value: for each element in memory order, the number of what is computed there. */
        private final int[][] contents;
        private int next;

        Played(Planned p) {
            this.p = p;
            this.cells = new int[Math.toIntExact(p.plan.bytes())];
            Arrays.fill(cells, -1);
            this.contents = new int[p.graph.values().size()][];
            p.graph.parameters().values().forEach(this::fresh);
        }

        void play() {
            p.graph.inputs().values().forEach(v -> write(fresh(v)));
            for (int i = 0; i < p.graph.nodes().size(); i++)
                play(i, p.graph.nodes().get(i));
            p.graph.outputs().values().forEach(v -> read(v, p.graph.nodes().getLast()));
        }

        private void play(int i, Node node) {
            node.inputs().forEach(v -> read(v, node));
            node.outputs().forEach(v -> contents(node, v));
            if (!p.layout.isIdle(i)) {
                // Results first, then scratch: if they shared memory with an input, the reads below would see it.
                node.outputs().forEach(this::write);
                Plan.Block scratch = p.plan.scratch(i);
                if (scratch != null)
                    Arrays.fill(cells, (int) scratch.offset(), (int) (scratch.offset() + scratch.bytes()), -2);
                int over = backend.overwritten(node, p.types);
                for (int j = 0; j < node.inputs().size(); j++)
                    if (j != over || p.layout.root(node.in(j)) != p.layout.root(node.out(0))) read(node.in(j), node);
            }
            node.outputs().forEach(v -> read(v, node));
        }

        private Value fresh(Value v) {
            int[] all = new int[Math.toIntExact(v.shape().elements())];
            for (int i = 0; i < all.length; i++)
                all[i] = next++;
            contents[v.id()] = all;
            return v;
        }

        /** What a node puts into its result: columns of its inputs, its input renamed, or something new. */
        private void contents(Node node, Value v) {
            if (node.op() instanceof Concat) {
                fresh(v);
                long at = 0;
                for (Value part : node.inputs()) {
                    columns(part, 0, v, at, Concat.channels(part.shape()));
                    at += Concat.channels(part.shape());
                }
            } else if (node.op() instanceof Concat.Slice s) {
                fresh(v);
                columns(node.in(0), s.first(), v, 0, s.channels());
            } else if (p.layout.isIdle(p.graph.nodes().indexOf(node))) contents[v.id()] = contents[node.in(0).id()];
            else
                fresh(v);
        }

        private void columns(Value from, long first, Value to, long at, long count) {
            int width = Concat.channels(from.shape());
            int wide = Concat.channels(to.shape());
            for (int r = 0; r < to.shape().elements() / wide; r++)
                for (int c = 0; c < count; c++)
                    contents[to.id()][Math.toIntExact((long) r * wide + at + c)] = contents[from.id()][Math.toIntExact(
                            (long) r * width + first + c)];
        }

        private void write(Value v) { each(v, (at, content) -> cells[at] = content); }

        private void read(Value v, Node reader) {
            if (p.plan.block(v) == null)
                assertTrue(p.pinned(p.graph.values().get(p.layout.root(v))), () -> v + " has no place");
            each(v, (at, content) -> assertEquals(content, cells[at],
                    () -> reader + " reads " + v + " " + v.id() + " after it was overwritten"));
        }

        private interface Cell {
            void visit(int at, int content);
        }

        private void each(Value v, Cell cell) {
            Plan.Block b = p.plan.block(v);
            if (b == null) return;
            int width = Concat.channels(v.shape());
            for (int i = 0; i < contents[v.id()].length; i++) {
                long element = p.layout.position(v) + i / width * p.layout.stride(v) + i % width;
                for (long byt = 0; byt < p.size(v); byt++)
                    cell.visit((int) (b.offset() + element * p.size(v) + byt), contents[v.id()][i]);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void everyValueLiesInsideItsBlock(long seed) {
        Planned p = plan(seed);
        for (Value v : p.graph.values()) {
            Plan.Block b = p.plan.block(v);
            if (b == null) continue;
            assertTrue((p.layout.position(v) + p.layout.extent(v)) * p.size(v) <= b.bytes(), v::toString);
            assertTrue(p.layout.stride(v) >= Concat.channels(v.shape()), v::toString);
        }
    }

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
        for (int i = 0; i < p.graph.nodes().size(); i++) {
            Node n = p.graph.nodes().get(i);
            if (!p.layout.isIdle(i)) continue;
            views.add(n);
            n.inputs().forEach(v -> assertSame(p.plan.block(v), p.plan.block(n.out(0)), n::toString));
        }
        p.graph.parameters().values().forEach(v -> assertNull(p.plan.block(v), v::toString));
        p.graph.parameterGradients().values().forEach(v -> assertNull(p.plan.block(v), v::toString));
        if (p.types.apply(p.graph.nodes().getFirst().out(0)) == DType.F32)
            assertTrue(!views.isEmpty(), "in float32 the image's cast is a view");
    }

    /** Over all seeds together sharing must save a good part, else the planner does not plan. */
    @Test
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

    /** Values inside others and results over inputs are many, else the tests above say little about them. */
    @Test
    void rewritesLetValuesLieInsideOthers() {
        long inside = 0;
        long over = 0;
        long plain = 0;
        long rewritten = 0;
        for (long seed : seeds().toArray()) {
            Planned p = plan(seed, new SplittableRandom(seed), Rewrites.all());
            for (Value v : p.graph.values())
                if (p.layout.stride(v) > Concat.channels(v.shape())) inside++;
            for (Node n : p.graph.nodes()) {
                int i = backend.overwritten(n, p.types);
                if (i >= 0 && p.layout.root(n.out(0)) == p.layout.root(n.in(i))) over++;
            }
            rewritten += p.plan.bytes();
            plain += plan(seed, new SplittableRandom(seed), Rewrites.only()).plan.bytes();
        }
        assertTrue(inside > 500, inside + " values inside others");
        assertTrue(over > 100, over + " results over inputs");
        assertTrue(rewritten < plain, rewritten + " bytes with rewrites, " + plain + " without");
    }
}
