package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.bytes;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Known answers, the same bits on any number of threads, refusals. */
class UpsampleKernelsTest {
    private static MemorySegment window(Arena arena, long batch, long channels, long[] in, long[] out) {
        MemorySegment to = arena.allocate(KernelStructs.WINDOW_BYTES, 8);
        long[] one = {1, 1, 1};
        KernelStructs.putWindow(to, batch, channels, channels, 1, in, out, one, one, new long[3], one);
        return to;
    }

    /** Values that PyTorch's interpolate gives. */
    @Test
    void knownAnswers() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = Numbers.buffer(arena, Kernels.F32, 1, 2, 4);
            MemorySegment y = empty(arena, Kernels.F32, 6);
            MemorySegment w = window(arena, 1, 1, new long[]{1, 1, 3}, new long[]{1, 1, 6});
            UpsampleKernels.upsample(Kernels.F32, w, 1, x, y);
            assertArrayEquals(new double[]{1, 1.25, 1.75, 2.5, 3.5, 4}, floats(y, 6));
            UpsampleKernels.upsample(Kernels.F32, w, 0, x, y);
            assertArrayEquals(new double[]{1, 1, 2, 2, 4, 4}, floats(y, 6));
            MemorySegment dy = Numbers.buffer(arena, Kernels.F32, 1, 2, 3, 4, 5, 6);
            UpsampleKernels.upsampleBackward(Kernels.F32, w, 1, dy, x);
            assertArrayEquals(new double[]{1 + 1.5 + 0.75, 0.5 + 2.25 + 3 + 1.25, 1 + 3.75 + 6}, floats(x, 3));
            UpsampleKernels.upsampleBackward(Kernels.F32, w, 0, dy, x);
            assertArrayEquals(new double[]{3, 7, 11}, floats(x, 3));
        }
    }

    /** An infinite value reaches only those who read it. */
    @Test
    void nearestKeepsWhatIsNoNumber() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = Numbers.buffer(arena, Kernels.F32, Double.POSITIVE_INFINITY, Double.NaN, 3);
            MemorySegment y = empty(arena, Kernels.F32, 5);
            MemorySegment w = window(arena, 1, 1, new long[]{1, 1, 3}, new long[]{1, 1, 5});
            UpsampleKernels.upsample(Kernels.F32, w, 0, x, y);
            assertArrayEquals(new double[]{Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, Double.NaN, Double.NaN,
                    3}, floats(y, 5));
        }
    }

    @Test
    void anyNumberOfThreadsGivesTheSameBits() {
        long[] in = {3, 5, 7};
        long[] out = {6, 10, 21};
        int c = 70;
        int small = 2 * c * 3 * 5 * 7;
        int large = 2 * c * 6 * 10 * 21;
        for (int type : TYPES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment w = window(arena, 2, c, in, out);
                MemorySegment x = random(arena, type, small, 3);
                MemorySegment dy = random(arena, type, large, 4);
                MemorySegment first = arena.allocate((long) (small + large) * bytes(type), 64);
                for (int threads : new int[]{1, 2, 3}) {
                    OneDnn.ompSetNumThreads(threads);
                    MemorySegment all = arena.allocate(first.byteSize(), 64);
                    UpsampleKernels.upsample(type, w, 1, x, all);
                    UpsampleKernels.upsampleBackward(type, w, 1, dy, all.asSlice((long) large * bytes(type)));
                    if (threads == 1) first.copyFrom(all);
                    assertEquals(-1, first.mismatch(all), threads + " threads");
                }
            }
        }
        OneDnn.ompSetNumThreads(Runtime.getRuntime().availableProcessors());
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment w = window(arena, 1, 1, new long[]{1, 1, 3}, new long[]{1, 1, 2});
            NativeException e = assertThrows(NativeException.class,
                    () -> UpsampleKernels.upsample(Kernels.F32, w, 0, w, w));
            assertTrue(e.getMessage().contains("axis 2 grows from 3 to 2"), e.getMessage());
            w.set(ValueLayout.JAVA_LONG, 8, 0);
            assertThrows(NativeException.class, () -> UpsampleKernels.upsample(Kernels.BF16 + 7, w, 0, w, w));
        }
    }
}
