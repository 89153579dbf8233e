package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.buffer;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Losses over maps: the same bits on any number of threads, extremes, refusals. Values: the op contract. */
class MapLossKernelsTest {
    private static final int F32 = Kernels.F32;
    private static final float SMOOTH = 1e-5f;

    @Test
    void anyNumberOfThreadsGivesTheSameBits() {
        int n = 2;
        int s = 5003;
        int c = 7;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = random(arena, F32, n * s * c, 1);
            MemorySegment labels = arena.allocate(4L * n * s, 64);
            for (int i = 0; i < n * s; i++)
                labels.setAtIndex(ValueLayout.JAVA_INT, i, i % 9 == 8 ? -1 : i * 5 % c);
            MemorySegment first = arena.allocate(4L * (2L * n * s * c + 2), 64);
            for (int threads : new int[]{1, 2, 3}) {
                OneDnn.ompSetNumThreads(threads);
                MemorySegment all = arena.allocate(first.byteSize(), 64);
                MemorySegment second = all.asSlice(first.byteSize() / 2);
                LossKernels.diceCe(x, labels, SMOOTH, 1, all, all.asSlice(4), n, s, c);
                LossKernels.smoothL1(x, random(arena, F32, n * s * c, 2), 0.1f, second, second.asSlice(4),
                        (long) n * s * c);
                if (threads == 1) first.copyFrom(all);
                assertEquals(-1, first.mismatch(all), threads + " threads");
            }
            OneDnn.ompSetNumThreads(Runtime.getRuntime().availableProcessors());
        }
    }

    /** Far beyond what an exponential can hold; and with no label known at all. */
    @Test
    void extremesStayFinite() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = buffer(arena, F32, 1e4, -1e4, -1e4, 1e4);
            MemorySegment out = empty(arena, F32, 1);
            MemorySegment gradient = empty(arena, F32, 4);
            LossKernels.diceCe(x, arena.allocateFrom(ValueLayout.JAVA_INT, 0, 1), SMOOTH, 1, out, gradient, 1, 2, 2);
            close("right", new double[]{0}, floats(out, 1), 1e-7);
            LossKernels.diceCe(x, arena.allocateFrom(ValueLayout.JAVA_INT, 1, 0), SMOOTH, 1, out, gradient, 1, 2, 2);
            close("wrong", new double[]{2e4 + 1}, floats(out, 1), 1e-6);
            close("gradient", new double[]{0.5, -0.5, -0.5, 0.5}, floats(gradient, 4), 1e-6);
            LossKernels.diceCe(x, arena.allocateFrom(ValueLayout.JAVA_INT, -1, -1), SMOOTH, 1, out, gradient, 1, 2, 2);
            close("nothing known", new double[]{0}, floats(out, 1), 0);
            close("gradient", new double[4], floats(gradient, 4), 0);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = buffer(arena, F32, 1, 2, 3, 4);
            MemorySegment labels = arena.allocateFrom(ValueLayout.JAVA_INT, 0, 2);
            var beyond = assertThrows(NativeException.class,
                    () -> LossKernels.diceCe(x, labels, SMOOTH, 1, x, x, 1, 2, 2));
            assertTrue(beyond.getMessage().contains("label 2 of position 1, but there are 2 classes"),
                    beyond.getMessage());
            var alone = assertThrows(NativeException.class,
                    () -> LossKernels.diceCe(x, labels, SMOOTH, 0, x, x, 1, 2, 1));
            assertTrue(alone.getMessage().contains("[1,2,1] without the background"), alone.getMessage());
            assertThrows(NativeException.class, () -> LossKernels.smoothL1(x, x, -1, x, x, 4));
        }
    }
}
