package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static isthmus.bindings.kernels.WinogradKernelsTest.MOST;
import static isthmus.bindings.kernels.WinogradKernelsTest.WINDOWS;
import static isthmus.bindings.kernels.WinogradKernelsTest.assertNear;
import static isthmus.bindings.kernels.WinogradKernelsTest.turned;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Winograd's convolution with the norm before it: against batch norm's own kernel, and its gradient against float64. */
class WinogradNormTest {
    private static final MemorySegment NONE = MemorySegment.NULL;
    /** Of the few channels' sums some are of numbers that cancel each other. */
    private static final double MOST_OF_SUMS = 2e-2;
    private static final float EPSILON = 1e-3f;

    /** How many elements more than channels lie from pixel to pixel. */
    private static final int GAP = 5;

    /** Numbers a channel. */
    private record Norm(MemorySegment mean, MemorySegment variance, MemorySegment gamma, MemorySegment beta,
            int activation) {
        static Norm of(Arena arena, int c, int activation) {
            MemorySegment[] n = new MemorySegment[4];
            for (int i = 0; i < n.length; i++)
                n[i] = random(arena, Kernels.F32, c, 11 + i);
            for (int i = 0; i < c; i++)
                n[1].setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.1f + Math.abs(n[1].getAtIndex(ValueLayout.JAVA_FLOAT, i)));
            return new Norm(n[0], n[1], n[2], n[3], activation);
        }

        double inverse(int channel) { return 1 / Math.sqrt(at(variance, channel) + (double) EPSILON); }

        void put(MemorySegment to) { KernelStructs.putNorm(to, mean, variance, gamma, beta, EPSILON, activation); }
    }

    /** As if batch norm had written what is read: the padding is zero all the same. */
    @Test
    void normOfInput() {
        assumeServed();
        for (Window w : WINDOWS)
            for (int activation : new int[]{Kernels.NONE, Kernels.RELU})
                try (Arena arena = Arena.ofConfined()) {
                    Norm n = Norm.of(arena, w.channels, activation);
                    MemorySegment x = WinogradKernelsTest.x(arena, w);
                    MemorySegment z = empty(arena, Kernels.BF16, w.batch * w.ins() * w.channels);
                    Kernels.batchNorm(Kernels.BF16, x, w.channels, n.mean, n.variance, n.gamma, n.beta, EPSILON, NONE,
                            activation, z, w.channels, (long) w.batch * w.ins(), w.channels);
                    MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
                    n.put(norm);
                    String what = w + " after activation " + activation;
                    double[] apart = WinogradKernelsTest.run(w, z, NONE, w.outChannels, false, NONE, 2);
                    for (int threads : new int[]{1, 2})
                        assertArrayEquals(apart,
                                WinogradKernelsTest.run(w, x, norm, w.outChannels, false, NONE, threads), what);
                }
    }

    /** Rows of d, of x, and numbers a channel: d as it lies there, apart, and what it is once nothing is owed. */
    private record Debt(MemorySegment d, MemorySegment settled, MemorySegment owed) {
        static Debt of(Arena arena, int rows, int c) {
            int ldd = c + GAP;
            int ldx = c + 2 * GAP;
            MemorySegment d = random(arena, Kernels.BF16, rows * ldd, 31);
            MemorySegment x = random(arena, Kernels.BF16, rows * ldx, 32);
            MemorySegment slope = random(arena, Kernels.F32, c, 33);
            MemorySegment shift = random(arena, Kernels.F32, c, 34);
            MemorySegment settled = empty(arena, Kernels.BF16, rows * c);
            Kernels.settle(Kernels.BF16, d, ldd, x, ldx, slope, shift, settled, c, rows, c);
            MemorySegment owed = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(owed, x, ldx, slope, shift);
            return new Debt(d, settled, owed);
        }
    }

    /** As if it had been settled before. */
    @Test
    void owedInput() {
        assumeServed();
        for (Window w : WINDOWS)
            try (Arena arena = Arena.ofConfined()) {
                int c = w.channels;
                Debt debt = Debt.of(arena, w.batch * w.ins(), c);
                double[] apart = WinogradKernelsTest.run(w, debt.settled, NONE, w.outChannels, true, NONE, 2);
                for (int threads : new int[]{1, 2})
                    assertArrayEquals(apart, WinogradKernelsTest.run(w, debt.d, c + GAP, NONE, debt.owed, w.outChannels,
                            true, NONE, threads), w + "");
            }
    }

    /** The same of a weight gradient's dy. */
    @Test
    void owedWeights() {
        assumeServed();
        for (Window w : WINDOWS)
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = WinogradKernelsTest.x(arena, w);
                Debt debt = Debt.of(arena, w.batch * w.outs(), w.outChannels);
                double[] apart = WinogradWeightsTest.run(w, x, 0, NONE, debt.settled, 0, NONE, 2);
                for (int threads : new int[]{1, 2})
                    assertArrayEquals(apart, WinogradWeightsTest.run(w, x, 0, NONE, debt.d, GAP, debt.owed, threads),
                            w + "");
            }
    }

    /** A data gradient that flows through the norm of activation `activation`. */
    private record Flow(Window back, int activation, boolean adds, boolean before) {
        int rows() { return back.batch * back.outs(); }

        int ld() { return back.outChannels + GAP; }

        MemorySegment pixels(Arena arena, int seed) { return random(arena, Kernels.BF16, rows() * ld(), seed); }

        MemorySegment before(Arena arena, int seed) {
            return before ? random(arena, Kernels.F32, back.outChannels, seed) : NONE;
        }

        /** dx, dgamma and dbeta, then slope and shift. inPlace: what dx begins with lies in dx. */
        double[][] run(boolean inPlace, int threads) {
            try (Arena arena = Arena.ofConfined()) {
                int c = back.outChannels;
                MemorySegment[] owed = new MemorySegment[4];
                Arrays.setAll(owed, i -> empty(arena, Kernels.F32, c).fill((byte) 0xff));
                MemorySegment dx = inPlace ? pixels(arena, 22) : empty(arena, Kernels.BF16, rows() * ld());
                MemorySegment add = inPlace ? dx : adds ? pixels(arena, 22) : NONE;
                MemorySegment gradient = arena.allocate(KernelStructs.NORM_GRADIENT_BYTES, 8);
                Norm.of(arena, c, activation).put(gradient);
                KernelStructs.putNormGradient(gradient, pixels(arena, 21), ld(), add, ld(), before(arena, 23),
                        before(arena, 24), owed[2], owed[3], owed[0], owed[1]);
                long bytes = WinogradKernelsTest.scratch(back, threads, arena);
                MemorySegment scratch = arena.allocate(bytes, 64).fill((byte) 0xff);
                WinogradKernels.winograd(back.write(arena), WinogradKernelsTest.x(arena, back), back.channels, NONE,
                        NONE,
                        WinogradKernelsTest.weight(arena, back), true, NONE, dx, ld(), NONE, NONE, gradient,
                        scratch, bytes);
                return new double[][]{close(dx), floats(owed[0], c), floats(owed[1], c), floats(owed[2], c),
                        floats(owed[3], c)};
            }
        }

        /** Without what lies between pixels. */
        private double[] close(MemorySegment pixels) {
            int c = back.outChannels;
            double[] all = read(Kernels.BF16, pixels, rows() * ld());
            double[] to = new double[rows() * c];
            Arrays.setAll(to, i -> all[i / c * ld() + i % c]);
            return to;
        }

        /** dx, dgamma and dbeta in float64, from the gradient dy of what the activation gave. */
        double[][] exact(double[] dy) {
            int c = back.outChannels;
            double[][] to = new double[][]{new double[dy.length], new double[c], new double[c]};
            try (Arena arena = Arena.ofConfined()) {
                Norm n = Norm.of(arena, c, activation);
                double[] x = close(pixels(arena, 21));
                double[] add = adds ? close(pixels(arena, 22)) : new double[dy.length];
                for (int i = 0; i < dy.length; i++) {
                    int j = i % c;
                    double h = (x[i] - at(n.mean, j)) * n.inverse(j);
                    double dz = dy[i] * Numbers.slope(activation, h * at(n.gamma, j) + at(n.beta, j));
                    to[0][i] = add[i] + at(n.gamma, j) * n.inverse(j) * dz;
                    to[1][j] += dz * h;
                    to[2][j] += dz;
                }
            }
            return to;
        }

        /** slope and shift, from dgamma and dbeta. */
        double[][] owed(double[] dgamma, double[] dbeta) {
            int c = back.outChannels;
            double[][] to = new double[2][c];
            try (Arena arena = Arena.ofConfined()) {
                Norm n = Norm.of(arena, c, activation);
                for (int j = 0; j < c; j++) {
                    double a = at(n.gamma, j) * n.inverse(j);
                    double slope = -a * n.inverse(j) * dgamma[j] / rows();
                    to[0][j] = slope + (before ? at(before(arena, 23), j) : 0);
                    to[1][j] = -a * dbeta[j] / rows() - slope * at(n.mean, j) + (before ? at(before(arena, 24), j) : 0);
                }
            }
            return to;
        }
    }

    private static double at(MemorySegment numbers, int channel) {
        return numbers.getAtIndex(ValueLayout.JAVA_FLOAT, channel);
    }

    @Test
    void gradient() {
        assumeServed();
        for (Window w : WINDOWS) {
            double[] dy = WinogradKernelsTest.exactGradient(w);
            for (int activation : new int[]{Kernels.NONE, Kernels.RELU})
                for (int some = 0; some < 4; some++) {
                    Flow flow = new Flow(turned(w), activation, (some & 1) != 0, (some & 2) != 0);
                    double[][] exact = flow.exact(dy);
                    double[][] ours = flow.run(false, 2);
                    double[][] owed = flow.owed(ours[1], ours[2]);
                    assertNear(exact[0], ours[0], MOST, "dx of " + flow);
                    assertNear(exact[1], ours[1], MOST_OF_SUMS, "dgamma of " + flow);
                    assertNear(exact[2], ours[2], MOST_OF_SUMS, "dbeta of " + flow);
                    assertNear(owed[0], ours[3], 1e-6, "slope of " + flow);
                    assertNear(owed[1], ours[4], 1e-6, "shift of " + flow);
                }
        }
    }

    @Test
    void gradientAddedInPlace() {
        assumeServed();
        for (Window w : WINDOWS) {
            Flow flow = new Flow(turned(w), Kernels.RELU, true, true);
            assertAll(flow.run(false, 2), flow.run(true, 2), flow);
        }
    }

    @Test
    void bitsOfGradientDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (Window w : WINDOWS) {
                Flow flow = new Flow(turned(w), Kernels.RELU, true, true);
                OneDnn.ompSetNumThreads(1);
                double[][] alone = flow.run(false, 1);
                for (int threads : new int[]{2, 5}) {
                    OneDnn.ompSetNumThreads(threads);
                    assertAll(alone, flow.run(false, threads), flow);
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    private static void assertAll(double[][] expected, double[][] ours, Flow flow) {
        assertEquals(expected.length, ours.length);
        for (int i = 0; i < ours.length; i++)
            assertArrayEquals(expected[i], ours[i], "result " + i + " of " + flow);
    }
}
