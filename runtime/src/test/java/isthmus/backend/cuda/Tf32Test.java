package isthmus.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import isthmus.bindings.cuda.CudaLibraries;
import isthmus.nn.Seeds;
import isthmus.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Float32 products are exact unless TF32 was asked for; the emulation rounds as tensor cores do. Convolutions: RealPlansTest. */
class Tf32Test {
    private static final int N = 8;

    @BeforeEach
    void open() {
        CudaLibraries.emulated().driver().problem()
                .ifPresent(p -> Assumptions.abort("the emulation is not built: " + p));
    }

    @AfterEach
    void clear() { System.clearProperty(Convolutions.TF32); }

    private static float[] numbers(int seed) {
        float[] v = new float[N * N];
        for (int i = 0; i < v.length; i++)
            v[i] = 2 * Seeds.uniform(Seeds.key(seed, "tf32"), i) - 1;
        return v;
    }

    /** To nearest with ten bits behind the point. */
    private static float rounded(float x) {
        int bits = Float.floatToRawIntBits(x);
        return Float.intBitsToFloat((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFF);
    }

    private static float[] product(float[] a, float[] b) {
        float[] c = new float[N * N];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int k = 0; k < N; k++)
                    c[i * N + j] += a[i * N + k] * b[k * N + j];
        return c;
    }

    private static float[] onDevice(float[] a, float[] b) {
        Device device = new Device(CudaLibraries.emulated(), 0);
        var matrix = new Product.Matrix(N, N, DType.F32, false);
        var result = new Product.Result(DType.F32, Float.BYTES, Product.Epilogue.NONE, DType.F32);
        try (device; Arena arena = Arena.ofShared(); Product p = Product.of(device, matrix, matrix, result)) {
            long bytes = (long) N * N * Float.BYTES;
            long at = device.allocate(3 * bytes, arena);
            device.driver.copyToDevice(at, arena.allocateFrom(ValueLayout.JAVA_FLOAT, a), bytes, device.stream);
            device.driver.copyToDevice(at + bytes, arena.allocateFrom(ValueLayout.JAVA_FLOAT, b), bytes,
                    device.stream);
            p.call(MemorySegment.ofAddress(at), MemorySegment.ofAddress(at + bytes),
                    MemorySegment.ofAddress(at + 2 * bytes), MemorySegment.NULL).run();
            MemorySegment c = arena.allocate(bytes, Float.BYTES);
            device.driver.copyToHost(c, at + 2 * bytes, bytes, device.stream);
            device.synchronize();
            return c.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Test
    void theSwitchReachesTheProduct() {
        float[] a = numbers(1);
        float[] b = numbers(2);
        float[] a10 = a.clone();
        float[] b10 = b.clone();
        for (int i = 0; i < a.length; i++) {
            a10[i] = rounded(a[i]);
            b10[i] = rounded(b[i]);
        }
        assertNotEquals(a[0], a10[0]);
        float[] exact = onDevice(a, b);
        assertArrayEquals(product(a, b), exact, 1e-6f);
        System.setProperty(Convolutions.TF32, "true");
        float[] rough = onDevice(a, b);
        assertArrayEquals(product(a10, b10), rough, 1e-6f);
        double most = 0;
        for (int i = 0; i < rough.length; i++)
            most = Math.max(most, Math.abs(rough[i] - exact[i]));
        assertEquals(5e-4, most, 4.5e-4, "as far off as ten bits make it");
    }
}
