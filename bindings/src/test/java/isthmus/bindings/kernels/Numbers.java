package isthmus.bindings.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.stream.IntStream;

/** Seeded native buffers of either element type, read back as float64, and comparisons that name the place. */
final class Numbers {
    /** One, primes, powers of two and their neighbours, and one that all threads share. */
    static final int[] SIZES = {1, 2, 3, 17, 63, 64, 65, 1023, 1025, 20011};
    static final int[] TYPES = {Kernels.F32, Kernels.BF16};

    private Numbers() {}

    static int bytes(int type) { return type == Kernels.F32 ? 4 : 2; }

    static MemorySegment empty(Arena arena, int type, int n) { return arena.allocate((long) n * bytes(type), 64); }

    static MemorySegment random(Arena arena, int type, int n, long seed) {
        var random = new Random(seed);
        return buffer(arena, type, IntStream.range(0, n).mapToDouble(i -> random.nextGaussian()).toArray());
    }

    static MemorySegment buffer(Arena arena, int type, double... values) {
        MemorySegment to = empty(arena, type, values.length);
        for (int i = 0; i < values.length; i++) {
            if (type == Kernels.F32) to.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) values[i]);
            else
                to.setAtIndex(ValueLayout.JAVA_SHORT, i, bf16((float) values[i]));
        }
        return to;
    }

    /** Round to nearest, ties to even, by the definition: of the two neighbours the nearer, else the even one. */
    static short bf16(float x) {
        int bits = Float.floatToRawIntBits(x);
        if (Float.isNaN(x)) return (short) ((bits >>> 16) | 0x40);
        int rest = bits & 0xffff;
        int down = bits >>> 16;
        boolean up = rest > 0x8000 || (rest == 0x8000 && (down & 1) == 1);
        return (short) (up ? down + 1 : down);
    }

    static double[] read(int type, MemorySegment from, int n) {
        return IntStream.range(0, n).mapToDouble(i -> type == Kernels.F32
                ? from.getAtIndex(ValueLayout.JAVA_FLOAT, i)
                : Float.intBitsToFloat(from.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16)).toArray();
    }

    static double[] floats(MemorySegment from, int n) { return read(Kernels.F32, from, n); }

    /** Small whole numbers, which every type holds, or zeros. */
    static double[] whole(boolean any, int n) {
        return IntStream.range(0, n).mapToDouble(i -> any ? i % 9 - 4 : 0).toArray();
    }

    /** A normalisation's activation. */
    static double activate(int activation, double z) {
        return activation == Kernels.SILU ? z / (1 + Math.exp(-z)) : activation == Kernels.RELU ? Math.max(z, 0) : z;
    }

    /** Its derivative. */
    static double slope(int activation, double z) {
        double s = 1 / (1 + Math.exp(-z));
        return activation == Kernels.SILU ? s * (1 + z * (1 - s)) : activation == Kernels.RELU && z <= 0 ? 0 : 1;
    }

    /** A step of the element type, relative to 1. */
    static double step(int type) {
        return type == Kernels.F32 ? 2e-6 : 1.0 / 256;
    }

    /** Tolerance of sums over about a thousand values of order 1; those of bfloat16 are taken in float32. */
    static double sums(int type) {
        return type == Kernels.F32 ? 1e-5 : 5e-5;
    }

    /** Both agree within {@code tolerance x max(1, |expected|)}. */
    static void close(String what, double[] expected, double[] actual, double tolerance) {
        assertEquals(expected.length, actual.length, what);
        for (int i = 0; i < expected.length; i++)
            assertEquals(expected[i], actual[i], tolerance * Math.max(1, Math.abs(expected[i])), what + " at " + i);
    }
}
