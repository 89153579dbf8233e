package isthmus.graph;

import isthmus.op.Value;
import isthmus.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * Where every value lies in one arena: values that are never needed at the same time share memory. Offsets are greedy by
 * size over liveness intervals (Pisarchyk and Lee 2020), aligned to pairs of cache lines.
 */
public final class Plan {
    /** Alignment of every value, in bytes: two cache lines, which processors fetch together. */
    public static final long ALIGNMENT = 128;

    /**
     * A stretch of the arena and the time it is taken, in node indices, both ends included. Scratch memory of node n lives
     * from n to n.
     */
    public record Block(String name, long bytes, int first, int last, long offset) {
        boolean overlaps(Block o) { return first <= o.last && o.first <= last; }

        Block at(long where) { return new Block(name, bytes, first, last, where); }
    }

    private final Layout layout;
    private final Block[] blocks;
    private final Block[] scratch;
    private final long bytes;

    private Plan(Layout layout, Block[] blocks, Block[] scratch, long bytes) {
        this.layout = layout;
        this.blocks = blocks;
        this.scratch = scratch;
        this.bytes = bytes;
    }

    /**
     * Plans a graph.
     *
     * @param layout which values lie inside others
     * @param pinned values that live elsewhere (weights and their gradients)
     * @param scratchBytes what node {@code i} needs while it runs
     */
    static Plan of(Graph graph, Layout layout, Function<Value, DType> types, Predicate<Value> pinned,
            long[] scratchBytes) {
        int n = graph.nodes().size();
        int[] root = graph.values().stream().mapToInt(layout::root).toArray();
        int[] first = new int[root.length];
        int[] last = new int[root.length];
        Arrays.fill(first, Integer.MAX_VALUE);
        Arrays.fill(last, -1);
        for (int i = 0; i < n; i++) {
            for (Value v : graph.nodes().get(i).outputs())
                touch(first, last, root[v.id()], i);
            for (Value v : graph.nodes().get(i).inputs())
                touch(first, last, root[v.id()], i);
        }
        // Inputs stay until they are overwritten, so that a step can be run again.
        graph.inputs().values().forEach(v -> {
            touch(first, last, root[v.id()], -1);
            touch(first, last, root[v.id()], n);
        });
        graph.outputs().values().forEach(v -> touch(first, last, root[v.id()], n));
        List<Block> all = new ArrayList<>();
        Block[] blocks = new Block[root.length];
        for (Value v : graph.values()) {
            if (root[v.id()] != v.id() || pinned.test(v) || first[v.id()] == Integer.MAX_VALUE) continue;
            long size = v.shape().elements() * types.apply(v).bytes();
            blocks[v.id()] = new Block(v.toString(), size, first[v.id()], last[v.id()], -1);
            all.add(blocks[v.id()]);
        }
        Block[] scratch = new Block[n];
        for (int i = 0; i < n; i++) {
            if (scratchBytes[i] == 0) continue;
            scratch[i] = new Block("scratch of " + graph.nodes().get(i).label(), scratchBytes[i], i, i, -1);
            all.add(scratch[i]);
        }
        List<Block> placed = place(all);
        replace(blocks, all, placed);
        replace(scratch, all, placed);
        return new Plan(layout, blocks, scratch,
                placed.stream().mapToLong(b -> align(b.offset + b.bytes)).max().orElse(0));
    }

    private static void touch(int[] first, int[] last, int v, int at) {
        first[v] = Math.min(first[v], at);
        last[v] = Math.max(last[v], at);
    }

    private static List<Block> place(List<Block> blocks) {
        List<Block> order = new ArrayList<>(blocks);
        order.sort(Comparator.comparingLong(Block::bytes).reversed());
        List<Block> placed = new ArrayList<>();
        for (Block b : order) {
            List<Block> rivals = placed.stream().filter(b::overlaps).sorted(Comparator.comparingLong(Block::offset))
                    .toList();
            long at = 0;
            for (Block r : rivals) {
                if (r.offset >= at + b.bytes) break;
                at = Math.max(at, align(r.offset + r.bytes));
            }
            placed.add(b.at(at));
        }
        List<Block> back = new ArrayList<>(java.util.Collections.nCopies(blocks.size(), null));
        java.util.IdentityHashMap<Block, Integer> index = new java.util.IdentityHashMap<>();
        for (int i = 0; i < blocks.size(); i++)
            index.put(blocks.get(i), i);
        for (int i = 0; i < order.size(); i++)
            back.set(index.get(order.get(i)), placed.get(i));
        return back;
    }

    private static void replace(Block[] in, List<Block> all, List<Block> placed) {
        java.util.IdentityHashMap<Block, Block> moved = new java.util.IdentityHashMap<>();
        for (int i = 0; i < all.size(); i++)
            moved.put(all.get(i), placed.get(i));
        for (int i = 0; i < in.length; i++)
            if (in[i] != null) in[i] = moved.get(in[i]);
    }

    private static long align(long n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

    /** Size of the arena in bytes. */
    public long bytes() { return bytes; }

    /** Every block that has a place, for tests and reports. */
    public List<Block> blocks() {
        List<Block> all = new ArrayList<>();
        for (Block b : blocks)
            if (b != null) all.add(b);
        for (Block b : scratch)
            if (b != null) all.add(b);
        return all;
    }

    /** Bytes that are taken while node {@code i} runs. */
    long liveAt(int i) {
        return blocks().stream().filter(b -> b.first <= i && i <= b.last).mapToLong(Block::bytes).sum();
    }

    /** The block that a value lies in, alone or with others; null if it lives elsewhere. */
    Block block(Value v) {
        return blocks[layout.root(v)];
    }

    /** The scratch block of node {@code i}, or null. */
    Block scratch(int i) { return scratch[i]; }
}
