package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Averages of a normalised value and their gradient, against batch norm's and the average's own kernels. */
class NormPoolTest {
    private static final MemorySegment NONE = MemorySegment.NULL;
    private static final float EPSILON = 1e-3f;
    private static final int GAP = 32;

    /** A batch of maps, and the numbers of their norm; x's positions are GAP elements further apart than they have channels. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Case(Arena arena, int batch, int high, int wide, int c, int activation, MemorySegment[] n) {
        static Case of(Arena arena, int batch, int high, int wide, int c, int activation) {
            MemorySegment[] n = PointwiseForwardTest.statistics(arena, c);
            return new Case(arena, batch, high, wide, c, activation, n);
        }

        int rows() { return batch * high * wide; }

        MemorySegment window() {
            MemorySegment w = arena.allocate(KernelStructs.WINDOW_BYTES, 8);
            KernelStructs.putWindow(w, batch, c, c, 1, new long[]{1, high, wide}, new long[]{1, high / 2, wide / 2},
                    new long[]{1, 2, 2}, new long[]{1, 2, 2}, new long[3], new long[]{1, 1, 1});
            return w;
        }

        void put(MemorySegment to) { KernelStructs.putNorm(to, n[0], n[1], n[2], n[3], EPSILON, activation); }
    }

    @ParameterizedTest
    @CsvSource({"1,2,2,32,1", "3,6,10,96,0", "2,14,8,64,1"})
    void average(int batch, int high, int wide, int c, int activation) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, batch, high, wide, c, activation);
            int ldx = c + GAP;
            MemorySegment x = random(arena, Kernels.BF16, of.rows() * ldx, 1);
            MemorySegment z = empty(arena, Kernels.BF16, of.rows() * c);
            MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
            of.put(norm);
            int results = of.rows() / 4 * c;
            MemorySegment apart = empty(arena, Kernels.BF16, results);
            MemorySegment joined = empty(arena, Kernels.BF16, results);
            Kernels.batchNorm(Kernels.BF16, x, ldx, of.n[0], of.n[1], of.n[2], of.n[3], EPSILON, NONE, activation, z, c,
                    of.rows(), c);
            WindowKernels.avgPool(Kernels.BF16, of.window(), z, apart);
            WindowKernels.normAvgPool(of.window(), x, ldx, norm, joined);
            assertArrayEquals(read(Kernels.BF16, apart, results), read(Kernels.BF16, joined, results));
        }
    }

    /** Settled, it is batch norm's; the largest is written past the caches. */
    @ParameterizedTest
    @CsvSource({"1,2,2,32,1,false", "3,6,10,96,0,true", "2,14,8,64,1,true", "2,14,8,64,0,false",
            "1,512,512,32,1,false"})
    void gradient(int batch, int high, int wide, int c, int activation, boolean adds) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, batch, high, wide, c, activation);
            int all = of.rows() * c;
            MemorySegment x = random(arena, Kernels.BF16, all, 1);
            MemorySegment dy = random(arena, Kernels.BF16, all / 4, 2);
            MemorySegment add = adds ? random(arena, Kernels.BF16, all, 3) : NONE;
            MemorySegment[] sums = new MemorySegment[6];
            for (int i = 0; i < sums.length; i++)
                sums[i] = empty(arena, Kernels.F32, c);
            MemorySegment gradient = arena.allocate(KernelStructs.NORM_GRADIENT_BYTES, 8);
            of.put(gradient);
            KernelStructs.putNormGradient(gradient, x, c, add, c, NONE, NONE, sums[0], sums[1], sums[2], sums[3]);
            MemorySegment dx = empty(arena, Kernels.BF16, all);
            WindowKernels.normAvgPoolBackward(of.window(), dy, dx, c, gradient);
            Kernels.settle(Kernels.BF16, dx, c, x, c, sums[0], sums[1], dx, c, of.rows(), c);
            MemorySegment dz = empty(arena, Kernels.BF16, all);
            MemorySegment expected = empty(arena, Kernels.BF16, all);
            WindowKernels.avgPoolBackward(Kernels.BF16, of.window(), dy, dz);
            Kernels.batchNormBackward(Kernels.BF16, x, c, NONE, dz, c, of.n[0], of.n[1], of.n[2], of.n[3], EPSILON,
                    activation, 0, expected, c, add, c, sums[4], sums[5], NONE, of.rows(), c);
            close("dgamma", floats(sums[4], c), floats(sums[2], c), 1e-4);
            close("dbeta", floats(sums[5], c), floats(sums[3], c), 1e-4);
            close("dx", read(Kernels.BF16, expected, all), read(Kernels.BF16, dx, all), 3.0 / 256);
        }
    }

    @ParameterizedTest
    @CsvSource({"5,4,32", "4,4,48"})
    void refusals(int high, int wide, int c) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, 1, high, wide, c, Kernels.RELU);
            MemorySegment any = empty(arena, Kernels.F32, 4 * 5 * 64);
            MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
            of.put(norm);
            var e = assertThrows(NativeException.class,
                    () -> WindowKernels.normAvgPool(of.window(), any, c, norm, any));
            assertTrue(e.getMessage().contains(high == 5 ? "axis 1" : "48 channels"), e.getMessage());
        }
    }
}
