package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Pools of a normalised value and their gradients, against batch norm's and the pools' own kernels. */
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

        /** Two apart. */
        MemorySegment window(int edge, int padding) {
            MemorySegment w = arena.allocate(KernelStructs.WINDOW_BYTES, 8);
            KernelStructs.putWindow(w, batch, c, c, 1, new long[]{1, high, wide}, new long[]{1, high / 2, wide / 2},
                    new long[]{1, edge, edge}, new long[]{1, 2, 2}, new long[]{0, padding, padding},
                    new long[]{1, 1, 1});
            return w;
        }

        MemorySegment window() { return window(2, 0); }

        MemorySegment norm() {
            MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
            put(norm);
            return norm;
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
            int results = of.rows() / 4 * c;
            MemorySegment apart = empty(arena, Kernels.BF16, results);
            MemorySegment joined = empty(arena, Kernels.BF16, results);
            Kernels.batchNorm(Kernels.BF16, x, ldx, of.n[0], of.n[1], of.n[2], of.n[3], EPSILON, NONE, activation, z, c,
                    of.rows(), c);
            WindowKernels.avgPool(Kernels.BF16, of.window(), z, apart);
            WindowKernels.normAvgPool(of.window(), x, ldx, of.norm(), joined);
            assertArrayEquals(read(Kernels.BF16, apart, results), read(Kernels.BF16, joined, results));
        }
    }

    @ParameterizedTest
    @CsvSource({"1,2,2,32", "3,6,10,96", "2,14,8,64", "1,112,112,64"})
    void maximum(int batch, int high, int wide, int c) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, batch, high, wide, c, Kernels.RELU);
            int ldx = c + GAP;
            MemorySegment x = random(arena, Kernels.BF16, of.rows() * ldx, 1);
            MemorySegment z = empty(arena, Kernels.BF16, of.rows() * c);
            int results = of.rows() / 4 * c;
            int ldy = c + GAP;
            MemorySegment[] y = {empty(arena, Kernels.BF16, results), empty(arena, Kernels.BF16, of.rows() / 4 * ldy)};
            MemorySegment[] position = {arena.allocate(results), arena.allocate(results)};
            Kernels.batchNorm(Kernels.BF16, x, ldx, of.n[0], of.n[1], of.n[2], of.n[3], EPSILON, NONE, Kernels.RELU, z,
                    c, of.rows(), c);
            WindowKernels.maxPool(Kernels.BF16, of.window(3, 1), z, y[0], position[0]);
            WindowKernels.normMaxPool(of.window(3, 1), x, ldx, of.norm(), y[1], ldy, position[1]);
            double[] packed = read(Kernels.BF16, y[0], results);
            double[] apart = read(Kernels.BF16, y[1], of.rows() / 4 * ldy);
            for (int row = 0; row < of.rows() / 4; row++)
                assertArrayEquals(Arrays.copyOfRange(packed, row * c, (row + 1) * c),
                        Arrays.copyOfRange(apart, row * ldy, row * ldy + c));
            assertEquals(-1, position[0].mismatch(position[1]));
        }
    }

    /** An infinite or undefined number is not lost on the way. */
    @ParameterizedTest
    @CsvSource({"NaN,NaN", "Infinity,NaN"})
    void undefined(float x, float y) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, 1, 2, 2, 32, Kernels.RELU);
            of.n[0].fill((byte) 0);
            of.n[0].setAtIndex(ValueLayout.JAVA_FLOAT, 5, x);
            MemorySegment any = random(arena, Kernels.BF16, 4 * 32, 1);
            any.setAtIndex(ValueLayout.JAVA_SHORT, 2 * 32 + 5, (short) (Float.floatToIntBits(x) >> 16));
            MemorySegment best = empty(arena, Kernels.BF16, 32);
            WindowKernels.normMaxPool(of.window(3, 1), any, 32, of.norm(), best, 32, arena.allocate(32));
            assertEquals(y, read(Kernels.BF16, best, 32)[5]);
        }
    }

    /** Settled, it is batch norm's; the largest is written past the caches. */
    @ParameterizedTest
    @CsvSource({"1,2,2,32,1,false", "3,6,10,96,0,true", "2,14,8,64,1,true", "2,14,8,64,0,false",
            "1,512,512,32,1,false"})
    void averageGradient(int batch, int high, int wide, int c, int activation, boolean adds) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, batch, high, wide, c, activation);
            gradient(of, adds, (dy, dz) -> WindowKernels.avgPoolBackward(Kernels.BF16, of.window(), dy, dz),
                    (dy, dx, g) -> WindowKernels.normAvgPoolBackward(of.window(), dy, dx, c, g));
        }
    }

    @ParameterizedTest
    @CsvSource({"1,2,2,32,false", "3,6,10,96,true", "2,14,8,64,true", "2,14,8,64,false", "1,512,512,32,false"})
    void maximumGradient(int batch, int high, int wide, int c, boolean adds) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, batch, high, wide, c, Kernels.RELU);
            MemorySegment any = random(arena, Kernels.BF16, of.rows() * c, 4);
            MemorySegment position = arena.allocate(of.rows() / 4 * (long) c);
            MemorySegment w = of.window(3, 1);
            WindowKernels.maxPool(Kernels.BF16, w, any, empty(arena, Kernels.BF16, of.rows() / 4 * c), position);
            gradient(of, adds, (dy, dz) -> WindowKernels.maxPoolBackward(Kernels.BF16, w, dy, position, dz),
                    (dy, dx, g) -> WindowKernels.normMaxPoolBackward(w, dy, position, dx, c, g));
        }
    }

    /** Sixteenths from -2 to 2, whose sums have no more bits than bf16: the pools' own kernels round them. */
    private static MemorySegment coarse(Arena arena, int count) {
        MemorySegment s = empty(arena, Kernels.BF16, count);
        Random random = new Random(2);
        for (int i = 0; i < count; i++) {
            float value = (random.nextInt(65) - 32) / 16f;
            s.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (Float.floatToIntBits(value) >> 16));
        }
        return s;
    }

    private interface Joined {
        void back(MemorySegment dy, MemorySegment dx, MemorySegment gradient);
    }

    private static void gradient(Case of, boolean adds, BiConsumer<MemorySegment, MemorySegment> pool, Joined joined) {
        Arena arena = of.arena;
        int c = of.c;
        int all = of.rows() * c;
        MemorySegment x = random(arena, Kernels.BF16, all, 1);
        MemorySegment dy = coarse(arena, all / 4);
        MemorySegment add = adds ? random(arena, Kernels.BF16, all, 3) : NONE;
        MemorySegment[] sums = new MemorySegment[6];
        for (int i = 0; i < sums.length; i++)
            sums[i] = empty(arena, Kernels.F32, c);
        MemorySegment gradient = arena.allocate(KernelStructs.NORM_GRADIENT_BYTES, 8);
        of.put(gradient);
        KernelStructs.putNormGradient(gradient, x, c, add, c, NONE, NONE, sums[0], sums[1], sums[2], sums[3]);
        MemorySegment dx = empty(arena, Kernels.BF16, all);
        joined.back(dy, dx, gradient);
        Kernels.settle(Kernels.BF16, dx, c, x, c, sums[0], sums[1], dx, c, of.rows(), c);
        MemorySegment dz = empty(arena, Kernels.BF16, all);
        MemorySegment expected = empty(arena, Kernels.BF16, all);
        pool.accept(dy, dz);
        Kernels.batchNormBackward(Kernels.BF16, x, c, NONE, dz, c, of.n[0], of.n[1], of.n[2], of.n[3], EPSILON,
                of.activation, 0, expected, c, add, c, sums[4], sums[5], NONE, of.rows(), c);
        close("dgamma", floats(sums[4], c), floats(sums[2], c), 1e-3);
        close("dbeta", floats(sums[5], c), floats(sums[3], c), 1e-3);
        close("dx", read(Kernels.BF16, expected, all), read(Kernels.BF16, dx, all), 3.0 / 256);
    }

    @ParameterizedTest
    @CsvSource({"5,4,32", "4,4,48"})
    void refusals(int high, int wide, int c) {
        assumeServed();
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, 1, high, wide, c, Kernels.RELU);
            MemorySegment any = empty(arena, Kernels.F32, 4 * 5 * 64);
            MemorySegment norm = of.norm();
            String what = high == 5 ? "axis 1" : "48 channels";
            var e = assertThrows(NativeException.class,
                    () -> WindowKernels.normAvgPool(of.window(), any, c, norm, any));
            assertTrue(e.getMessage().contains(what), e.getMessage());
            var m = assertThrows(NativeException.class,
                    () -> WindowKernels.normMaxPool(of.window(3, 1), any, c, norm, any, c, any));
            assertTrue(m.getMessage().contains(what), m.getMessage());
        }
    }
}
