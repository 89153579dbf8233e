package isthmus.backend.cuda;

import isthmus.backend.Kernel;
import isthmus.op.DetectionLoss;
import isthmus.op.MapLayout;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;

/** The loss of a detector's joined maps: a block a sample chooses anchors, one block sums. */
final class DetectionLosses {
    private static final int MOST_LEVELS = 8;
    /** Numbers that the kernels note of a sample. */
    private static final int COUNTS = 5;

    private DetectionLosses() {}

    static Kernel detection(Device d, Node n, Function<Value, DType> types) {
        DetectionLoss op = (DetectionLoss) n.op();
        DetectionLoss.Sampling s = op.sampling();
        long batch = n.in(0).shape().dim(0);
        long total = op.layout().total();
        long capacity = op.capacity();
        long most = Math.min(total, (long) (s.negatives(s.mostPositives()) * s.pool()));
        long keys = aligned(batch * total * Long.BYTES);
        long lists = aligned(batch * most * Long.BYTES);
        long chosen = aligned(batch * (capacity + most) * Integer.BYTES);
        long counts = batch * COUNTS * Long.BYTES;
        return new CudaKernel(d, "own detection_loss", keys + lists + chosen + counts, (a, to) -> {
            MemorySegment list = a.scratch().asSlice(keys);
            MemorySegment choice = a.scratch().asSlice(keys + lists);
            MemorySegment count = a.scratch().asSlice(keys + lists + chosen);
            to.add("detection_keys", "", Grid.over(batch * total, d),
                    with(op.layout(), a.of(n.in(0)), a.scratch(), batch));
            to.add("detection_choose", "", new Grid((int) batch, 1, 1), a.of(n.in(1)), a.scratch(), list, choice, count,
                    total, (long) op.layout().classes(), (long) op.rowLength(),
                    capacity, (long) s.mostPositives(), (long) s.leastNegatives(),
                    Math.abs(1 - 1 / s.positiveFraction()), s.pool(), most);
            to.add("detection_sort", "", new Grid(Grid.over(most, d).x(), (int) batch, 1), list, choice, count,
                    capacity,
                    most);
            to.add("detection_draw", "", Grid.over(batch, d), a.scalars().segment(), choice, count, batch, capacity,
                    most);
            long length = n.out(1).shape().elements();
            to.add("fill", "_f32", Grid.over(length, d), a.of(n.out(1)), 0f, length);
            to.add("detection_loss", "", new Grid(1, 1, 1), with(op.layout(), a.of(n.in(0)), a.of(n.in(1)), choice,
                    count, a.of(n.out(0)), a.of(n.out(1)), batch, capacity, op.beta(), op.classWeight(),
                    op.boxWeight(), most));
        });
    }

    private static long aligned(long bytes) { return (bytes + 63) / 64 * 64; }

    /** Arguments, and behind them what lies where in the maps. */
    private static Object[] with(MapLayout layout, Object... arguments) {
        int levels = layout.levels().size();
        if (levels > MOST_LEVELS)
            throw new IllegalArgumentException("detection_loss: " + levels + " levels; the limit is " + MOST_LEVELS);
        List<Object> all = new ArrayList<>(Arrays.asList(arguments));
        for (int i : new int[]{levels, layout.anchors(), layout.classes(), layout.codes()})
            all.add((long) i);
        for (int l = 0; l < MOST_LEVELS; l++)
            all.add(l < levels ? (long) layout.positions(l) : 0L);
        return all.toArray();
    }
}
