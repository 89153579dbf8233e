package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Bf16Products.served;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static isthmus.bindings.kernels.PointwiseForwardTest.assertRefused;
import static isthmus.bindings.kernels.PointwiseForwardTest.rounded;
import static isthmus.bindings.kernels.PointwiseForwardTest.statistics;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The data gradient of the convolution with one tap, and what it does of its norm's backward pass, against float64. */
class PointwiseDataTest {
    /** Pixels, channels in, channels out: less than a tile, tiles and a rest, one and many pieces, groups of a piece. */
    private static final int[][] SHAPES = {{1, 32, 32}, {5, 96, 64}, {49, 64, 128}, {200, 128, 96}, {131, 320, 128},
            {2500, 32, 32}, {70, 64, 544}, {9003, 32, 96}};
    private static final double EPSILON = 1e-5;
    private static final MemorySegment NONE = MemorySegment.NULL;

    /** What dx begins with; each is tried with rows so many elements apart. */
    private enum Add {
        NOTHING(0), OTHER(8), ITSELF(16);

        final int gap;

        Add(int gap) { this.gap = gap; }
    }

    /** What dy is owed: paid by the settling kernel before, or on the way, with x end to end or in wider rows. */
    private enum Owed {
        NOTHING, SETTLED, ON_THE_WAY, PITCHED
    }

    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Case(int[] shape, int gap, int activation, Add add, boolean before) {
        int ld() { return shape[1] + gap; }

        /** dx with what lies between its rows; slope, shift, dgamma and dbeta. */
        List<double[]> run(boolean normed, int threads) {
            return run(normed, threads, Owed.NOTHING);
        }

        List<double[]> run(boolean normed, int threads, Owed owed) {
            try (Arena arena = Arena.ofConfined()) {
                int c = shape[1];
                MemorySegment dx = add == Add.ITSELF
                        ? add(arena)
                        : empty(arena, Kernels.BF16, shape[0] * ld())
                                .fill((byte) 0x11);
                MemorySegment results = empty(arena, Kernels.F32, 4 * c);
                long bytes = scratch(arena, shape, threads);
                MemorySegment scratch = arena.allocate(bytes, 64).fill((byte) 0xff); // NaNs, should they be read
                MemorySegment dy = dy(arena);
                MemorySegment debt = owed == Owed.NOTHING ? NONE : debt(arena, dy, owed);
                PointwiseKernels.backwardData(dy, debt, w(arena), dx, ld(),
                        normed ? gradient(arena, dx, results) : NONE, shape[0], c, shape[2], scratch, bytes);
                List<double[]> all = new ArrayList<>(List.of(read(Kernels.BF16, dx, shape[0] * ld())));
                for (int i = 0; i < 4; i++)
                    all.add(floats(results.asSlice(4L * i * c), c));
                return all;
            }
        }

        private MemorySegment gradient(Arena arena, MemorySegment dx, MemorySegment results) {
            int c = shape[1];
            MemorySegment[] n = statistics(arena, c);
            MemorySegment to = arena.allocate(KernelStructs.NORM_GRADIENT_BYTES, 8);
            KernelStructs.putNorm(to, n[0], n[1], n[2], n[3], EPSILON, activation);
            MemorySegment with = add == Add.NOTHING ? NONE : add == Add.ITSELF ? dx : add(arena);
            KernelStructs.putNormGradient(to, x(arena), ld() + 8, with, ld(), before ? owed(arena, 20) : NONE,
                    before ? owed(arena, 21) : NONE, results, results.asSlice(4L * c), results.asSlice(8L * c),
                    results.asSlice(12L * c));
            return to;
        }

        /** What dy is owed, or NULL once it has it. */
        private MemorySegment debt(Arena arena, MemorySegment dy, Owed owed) {
            int k = shape[2];
            int ldo = owed == Owed.PITCHED ? k + 9 : k;
            MemorySegment rows = random(arena, Kernels.BF16, shape[0] * k, 5);
            MemorySegment of = arena.allocate(2L * shape[0] * ldo, 64).fill((byte) 0xff);
            for (int r = 0; r < shape[0]; r++)
                MemorySegment.copy(rows, 2L * r * k, of, 2L * r * ldo, 2L * k);
            MemorySegment slope = random(arena, Kernels.F32, k, 22);
            MemorySegment shift = random(arena, Kernels.F32, k, 23);
            if (owed == Owed.SETTLED) {
                Kernels.settle(Kernels.BF16, dy, k, of, ldo, slope, shift, dy, k, shape[0], k);
                return NONE;
            }
            MemorySegment to = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(to, of, ldo, slope, shift);
            return to;
        }

        private MemorySegment dy(Arena arena) { return random(arena, Kernels.BF16, shape[0] * shape[2], 1); }

        private MemorySegment w(Arena arena) { return random(arena, Kernels.F32, shape[1] * shape[2], 2); }

        private MemorySegment x(Arena arena) { return random(arena, Kernels.BF16, shape[0] * (ld() + 8), 3); }

        private MemorySegment add(Arena arena) { return random(arena, Kernels.BF16, shape[0] * ld(), 4); }

        private MemorySegment owed(Arena arena, long seed) { return random(arena, Kernels.F32, shape[1], seed); }

        /** The products of one place of dx. */
        private double products(double[] dy, double[] w, int pixel, int channel) {
            double sum = 0;
            for (int o = 0; o < shape[2]; o++)
                sum += dy[pixel * shape[2] + o] * w[o * shape[1] + channel];
            return sum;
        }

        List<double[]> exact(boolean normed) {
            try (Arena arena = Arena.ofConfined()) {
                int c = shape[1];
                double[] dy = read(Kernels.BF16, dy(arena), shape[0] * shape[2]);
                double[] w = rounded(w(arena), c * shape[2]);
                double[] x = read(Kernels.BF16, x(arena), shape[0] * (ld() + 8));
                double[] other = read(Kernels.BF16, add(arena), shape[0] * ld());
                double[] dx = add == Add.ITSELF
                        ? other.clone()
                        : read(Kernels.BF16,
                                empty(arena, Kernels.BF16, shape[0] * ld()).fill((byte) 0x11), shape[0] * ld());
                double[][] n = new double[4][];
                for (int i = 0; i < 4; i++)
                    n[i] = floats(statistics(arena, c)[i], c);
                double[][] results = new double[4][c];
                for (int i = 0; i < c; i++) {
                    double inverse = 1 / Math.sqrt(n[1][i] + EPSILON);
                    double sum = 0;
                    double product = 0;
                    for (int p = 0; p < shape[0]; p++) {
                        double d = products(dy, w, p, i);
                        double centred = x[p * (ld() + 8) + i] - n[0][i];
                        if (normed) {
                            d *= Numbers.slope(activation, centred * inverse * n[2][i] + n[3][i]);
                            sum += d;
                            product += d * centred;
                            d = n[2][i] * inverse * d + (add == Add.NOTHING ? 0 : other[p * ld() + i]);
                        }
                        dx[p * ld() + i] = d;
                    }
                    if (normed) owe(arena, results, i, n, sum, product * inverse);
                }
                List<double[]> all = new ArrayList<>(List.of(dx));
                all.addAll(List.of(results));
                return all;
            }
        }

        private void owe(Arena arena, double[][] to, int i, double[][] n, double dbeta, double dgamma) {
            double inverse = 1 / Math.sqrt(n[1][i] + EPSILON);
            double a = n[2][i] * inverse;
            to[0][i] = -a * inverse * dgamma / shape[0];
            to[1][i] = -a * dbeta / shape[0] + a * inverse * dgamma / shape[0] * n[0][i];
            if (before) {
                to[0][i] += owed(arena, 20).getAtIndex(ValueLayout.JAVA_FLOAT, i);
                to[1][i] += owed(arena, 21).getAtIndex(ValueLayout.JAVA_FLOAT, i);
            }
            to[2][i] = dgamma;
            to[3][i] = dbeta;
        }

        String name() {
            return shape[0] + " pixels, " + shape[1] + " to " + shape[2] + ", " + gap + " between, activation "
                    + activation
                    + ", add " + add + (before ? ", owing" : "");
        }
    }

    @Test
    void plainNearFloat64() {
        assumeServed();
        for (int[] s : SHAPES)
            for (int gap : new int[]{0, 33}) {
                var of = new Case(s, gap, Kernels.NONE, Add.NOTHING, false);
                close(of.name(), of.exact(false).get(0), of.run(false, 2).get(0), 1.01 / 256);
            }
    }

    @Test
    void throughNormNearFloat64() {
        assumeServed();
        String[] names = {"dx", "slope", "shift", "dgamma", "dbeta"};
        for (int[] s : SHAPES)
            for (int activation : new int[]{Kernels.NONE, Kernels.RELU})
                for (Add add : Add.values()) {
                    var of = new Case(s, add.gap, activation, add, add == Add.OTHER);
                    List<double[]> exact = of.exact(true);
                    List<double[]> ours = of.run(true, 2);
                    for (int i = 0; i < names.length; i++)
                        close(names[i] + " of " + of.name(), exact.get(i), ours.get(i), i == 0 ? 1.01 / 256 : 1e-4);
                }
    }

    @Test
    void bitsDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (int[] s : SHAPES) {
                var of = new Case(s, 8, Kernels.RELU, Add.ITSELF, true);
                OneDnn.ompSetNumThreads(1);
                List<double[]> alone = of.run(true, 1);
                for (int threads : new int[]{2, 5}) {
                    OneDnn.ompSetNumThreads(threads);
                    List<double[]> together = of.run(true, threads);
                    List<double[]> cramped = of.run(true, 1);
                    for (int i = 0; i < alone.size(); i++) {
                        assertArrayEquals(alone.get(i), together.get(i), of.name() + " on " + threads);
                        assertArrayEquals(alone.get(i), cramped.get(i), of.name() + " with memory for one");
                    }
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    @Test
    void settledOnTheWay() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (int[] s : SHAPES)
                for (int threads : new int[]{1, 2})
                    for (boolean normed : new boolean[]{false, true}) {
                        OneDnn.ompSetNumThreads(threads);
                        var of = new Case(s, 8, Kernels.RELU, Add.ITSELF, true);
                        List<double[]> apart = of.run(normed, threads, Owed.SETTLED);
                        for (Owed owed : new Owed[]{Owed.ON_THE_WAY, Owed.PITCHED}) {
                            List<double[]> ours = of.run(normed, threads, owed);
                            for (int i = 0; i < apart.size(); i++)
                                assertArrayEquals(apart.get(i), ours.get(i),
                                        of.name() + ", " + owed + " on " + threads);
                        }
                    }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            if (!served()) {
                assertRefused("AVX-512 BF16", () -> scratch(arena, new int[]{1, 32, 32}, 1));
                return;
            }
            assertRefused("0 pixels, 32 channels to 32", () -> scratch(arena, new int[]{0, 32, 32}, 1));
            assertRefused("32 channels to 16; this is for multiples of 32",
                    () -> scratch(arena, new int[]{4, 32, 16}, 1));
            assertRefused("0 threads", () -> scratch(arena, new int[]{4, 32, 32}, 0));
            long one = scratch(arena, new int[]{8, 32, 32}, 1);
            MemorySegment any = empty(arena, Kernels.F32, 1024);
            assertRefused((one - 1) + " bytes of scratch memory; one thread needs " + one,
                    () -> PointwiseKernels.backwardData(any, NONE, any, any, 32, NONE, 8, 32, 32, any, one - 1));
            assertRefused("less apart than their 32 channels",
                    () -> PointwiseKernels.backwardData(any, NONE, any, any, 31, NONE, 8, 32, 32, any, one));
            MemorySegment owed = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(owed, any, 31, any, any);
            assertRefused("owed reads rows of 32 channels, which are 31 apart",
                    () -> PointwiseKernels.backwardData(any, owed, any, any, 32, NONE, 8, 32, 32, any, one));
            MemorySegment gradient = arena.allocate(KernelStructs.NORM_GRADIENT_BYTES, 8);
            KernelStructs.putNorm(gradient, any, any, any, any, EPSILON, Kernels.NONE);
            KernelStructs.putNormGradient(gradient, any, 31, NONE, 0, NONE, NONE, any, any, any, any);
            assertRefused("less apart than their 32 channels",
                    () -> PointwiseKernels.backwardData(any, NONE, any, any, 32, gradient, 8, 32, 32, any, one));
            KernelStructs.putNorm(gradient, any, any, any, any, EPSILON, Kernels.SILU);
            assertRefused("the norm's activation is " + Kernels.SILU,
                    () -> PointwiseKernels.backwardData(any, NONE, any, any, 32, gradient, 8, 32, 32, any, one));
        }
    }

    private static long scratch(Arena arena, int[] s, int threads) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        PointwiseKernels.backwardDataScratch(s[0], s[1], s[2], threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }
}
