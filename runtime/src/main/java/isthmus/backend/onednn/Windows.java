package isthmus.backend.onednn;

import isthmus.op.Window;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** Writes the C library's {@code ist_window}: int64 fields, three spatial axes, leading ones 1 where there are two. */
final class Windows {
    private static final int FIELDS = 4 + 6 * 3;

    private Windows() {}

    static MemorySegment write(Arena arena, Window w, Shape x, Shape y, int groups) {
        MemorySegment s = arena.allocate(ValueLayout.JAVA_LONG, FIELDS);
        long[] head = {x.dim(0), x.dim(1), y.dim(1), groups};
        for (int i = 0; i < head.length; i++)
            s.setAtIndex(ValueLayout.JAVA_LONG, i, head[i]);
        axes(s, 4, spatial(x), 1);
        axes(s, 7, spatial(y), 1);
        axes(s, 10, w.kernel(), 1);
        axes(s, 13, w.stride(), 1);
        axes(s, 16, w.padding(), 0);
        axes(s, 19, w.dilation(), 1);
        return s;
    }

    private static List<Integer> spatial(Shape s) {
        return java.util.stream.IntStream.range(2, s.rank()).mapToObj(s::dim).toList();
    }

    private static void axes(MemorySegment s, int at, List<Integer> values, int missing) {
        int lead = 3 - values.size();
        for (int i = 0; i < 3; i++)
            s.setAtIndex(ValueLayout.JAVA_LONG, at + i, i < lead ? missing : values.get(i - lead));
    }
}
