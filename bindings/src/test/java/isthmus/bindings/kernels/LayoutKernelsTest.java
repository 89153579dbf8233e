package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class LayoutKernelsTest {
    private static final int[][] SHAPES = {{1, 1, 1}, {2, 3, 5}, {1, 17, 15}, {3, 49, 65}, {5, 64, 63}, {1, 16, 2048}};

    @Test
    void channelsFirstAndLast() {
        for (int from : TYPES)
            for (int to : TYPES)
                for (int[] s : SHAPES)
                    channels(from, to, s[0], s[1], s[2]);
    }

    private static void channels(int from, int to, int n, int s, int c) {
        try (Arena arena = Arena.ofConfined()) {
            int size = n * s * c;
            MemorySegment x = random(arena, from, size, 1);
            MemorySegment y = empty(arena, to, size);
            double[] ex = read(from, x, size);
            double[] first = new double[size];
            double[] last = new double[size];
            for (int i = 0; i < size; i++) {
                int at = (i / c / s * c + i % c) * s + i / c % s;
                first[at] = ex[i];
                last[i] = ex[at];
            }
            double tolerance = from == Kernels.F32 && to == Kernels.BF16 ? Numbers.step(to) : 0;
            Kernels.channelsFirst(from, x, to, y, n, s, c);
            close("channels_first", first, read(to, y, size), tolerance);
            Kernels.channelsLast(from, x, to, y, n, s, c);
            close("channels_last", last, read(to, y, size), tolerance);
        }
    }

    @Test
    void columns() {
        for (int type : TYPES) {
            for (int[] s : SHAPES) {
                try (Arena arena = Arena.ofConfined()) {
                    int rows = s[0] * s[1];
                    int c = s[2];
                    int ld = c + 3;
                    MemorySegment x = random(arena, type, rows * ld, 1);
                    MemorySegment sum = empty(arena, Kernels.F32, c);
                    double[] ex = read(type, x, rows * ld);
                    double[] expected = new double[c];
                    for (int i = 0; i < rows * c; i++)
                        expected[i % c] += ex[i / c * ld + i % c];
                    Kernels.columnSum(type, x, ld, sum, rows, c);
                    close("column_sum", expected, floats(sum, c), 1e-6);
                    MemorySegment y = empty(arena, type, rows * c);
                    Kernels.addBias(type, x, sum, y, rows, c);
                    double[] added = new double[rows * c];
                    double[] bias = floats(sum, c);
                    for (int i = 0; i < rows * c; i++)
                        added[i] = ex[i] + bias[i % c];
                    close("add_bias", added, read(type, y, rows * c), Numbers.step(type));
                    Kernels.addBias(type, x, sum, x, rows, c);
                    assertEquals(-1, x.asSlice(0, y.byteSize()).mismatch(y), "in place");
                }
            }
        }
    }
}
