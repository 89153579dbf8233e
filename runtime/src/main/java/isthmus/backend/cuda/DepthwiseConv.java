package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/** Depthwise convolution in two dimensions by our own kernels; with one input a filter, {@code [O,taps,I]} is the parameters' order. */
record DepthwiseConv(Device device, ConvProblem problem) implements ConvEngine {
    private static final int TILE = 4;
    private static final int PACKS = 16;
    private static final int PAIRS = 32;
    private static final int PACK_BYTES = 16;

    /** The engine, if it can do this. */
    static Optional<ConvEngine> of(Device device, ConvProblem p) {
        var w = p.window();
        boolean depthwise = p.w().dim(1) == 1 && p.x().dim(1) == p.y().dim(1) && w.axes() == 2;
        if (!depthwise || p.x().dim(1) % (PACK_BYTES / p.type().bytes()) != 0) return Optional.empty();
        int k = w.kernel().getFirst();
        int s = w.stride().getFirst();
        boolean known = (k == 3 || k == 5) && (s == 1 || s == 2) && w.kernel().equals(List.of(k, k))
                && w.stride().equals(List.of(s, s)) && w.dilation().equals(List.of(1, 1));
        return known ? Optional.of(new DepthwiseConv(device, p)) : Optional.empty();
    }

    @Override
    public String name() { return "own depthwise"; }

    @Override
    public long scratch() {
        return problem.direction() == ConvProblem.Direction.WEIGHTS
                ? shares() * problem.w().elements() * Float.BYTES
                : 0;
    }

    private int channels() { return problem.x().dim(1); }

    private String kernel() {
        var w = problem.window();
        return suffix(problem.type()) + "_k" + w.kernel().getFirst() + "s" + w.stride().getFirst();
    }

    /** Tiles of neighbouring places of a line. */
    private static long tiles(Shape s) {
        return (long) s.dim(0) * s.dim(2) * ((s.dim(3) + TILE - 1) / TILE);
    }

    private static int blocks(int channels, int each) { return (channels + each - 1) / each; }

    /** In how many shares the sums of the weights' gradient are taken: enough to fill the device. */
    private long shares() {
        final long blocksEach = 8;
        final long tilesEach = 64;
        long wanted = device.multiprocessors * blocksEach / blocks(channels(), 2 * PAIRS);
        return Math.max(1, Math.min(wanted, tiles(problem.y()) / tilesEach));
    }

    @Override
    public void bind(Launches to, MemorySegment x, MemorySegment w, MemorySegment y, MemorySegment scratch) {
        var geometry = new Launches.Geometry(problem.window(), problem.x(), problem.y(), channels());
        switch (problem.direction()) {
            case FORWARD -> to.add("depthwise", kernel(), grid(problem.y()), geometry, x, w, y);
            case DATA -> to.add("depthwise_data", kernel(), grid(problem.x()), geometry, y, w, x);
            case WEIGHTS -> {
                Grid sums = new Grid(blocks(channels(), 2 * PAIRS), (int) shares(), 1, PAIRS, Grid.THREADS / PAIRS);
                long taps = problem.window().volume();
                to.add("depthwise_weights", kernel(), sums, geometry, x, y, scratch);
                to.add("depthwise_finish", "", Grid.over(problem.w().elements(), device), scratch, w, shares(), taps,
                        (long) channels());
            }
        }
    }

    /** For results of that shape: a few tiles a thread, which share the weights that their block has read. */
    private Grid grid(Shape results) {
        final long tilesEach = 4;
        final long blocksEach = 16;
        int across = blocks(channels(), PACKS * PACK_BYTES / problem.type().bytes());
        long wanted = Math.max(1, tiles(results) / (tilesEach * Grid.THREADS / PACKS));
        long most = Math.max(1, device.multiprocessors * blocksEach / across);
        return new Grid(across, (int) Math.min(Math.min(wanted, most), 65_535), 1, PACKS, Grid.THREADS / PACKS);
    }
}
