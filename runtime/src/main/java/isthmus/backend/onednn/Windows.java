package isthmus.backend.onednn;

import isthmus.bindings.kernels.KernelStructs;
import isthmus.op.Window;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/** Windows as the C library takes them: three spatial axes, the leading ones of length 1 where there are fewer. */
final class Windows {
    private Windows() {}

    static MemorySegment write(Arena arena, Window w, Shape x, Shape y, int groups) {
        MemorySegment s = arena.allocate(KernelStructs.WINDOW_BYTES, Long.BYTES);
        KernelStructs.putWindow(s, x.dim(0), x.dim(1), y.dim(1), groups, axes(spatial(x), 1), axes(spatial(y), 1),
                axes(w.kernel(), 1),
                axes(w.stride(), 1), axes(w.padding(), 0), axes(w.dilation(), 1));
        return s;
    }

    /** From one shape to another, where there is no window: only batch, channels, in and out mean something. */
    static MemorySegment between(Arena arena, Shape x, Shape y) {
        return write(arena, Window.of(x.rank() - 2, 1, 1, 0), x, y, 1);
    }

    private static List<Integer> spatial(Shape s) { return IntStream.range(2, s.rank()).mapToObj(s::dim).toList(); }

    private static long[] axes(List<Integer> values, int missing) {
        int lead = 3 - values.size();
        return IntStream.range(0, 3).mapToLong(i -> i < lead ? missing : values.get(i - lead)).toArray();
    }
}
