package isthmus.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.op.Conv;
import isthmus.op.Window;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Our depthwise kernels and cuDNN's convolution, each forced on the emulation, agree; others are left to cuDNN. */
class DepthwiseEnginesTest {
    private static final String FORCE = "isthmus.cuda.convolutions";
    private static final double[] TOLERANCES = {1e-5, 1e-3, 1e-2};

    @BeforeEach
    void isBuilt() {
        Optional<String> problem = Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst()
                .flatMap(BackendProvider::problem);
        problem.ifPresent(p -> System.out.println("DepthwiseEnginesTest: not run: " + p));
        Assumptions.assumeTrue(problem.isEmpty(), "the emulation is not built");
    }

    @AfterEach
    void free() { System.clearProperty(FORCE); }

    /** Lines that are no multiple of a tile, channels of more than one block, batches, one place. */
    @ParameterizedTest
    @CsvSource({"3,1,1,2,8,5,7", "3,2,1,2,8,9,6", "5,1,2,1,8,6,9", "5,2,2,2,8,7,11", "3,1,1,1,136,3,5",
            "5,2,2,1,136,4,3", "3,1,0,1,8,5,6", "5,1,2,1,8,1,1", "3,2,1,3,8,2,2", "3,1,1,4,8,17,33"})
    void bothGiveTheSame(int kernel, int stride, int padding, int n, int c, int h, int w) {
        OpCase conv = depthwise(kernel, stride, padding, n, c, c, h, w);
        for (Precision precision : List.of(Precision.FP32, Precision.F16, Precision.BF16)) {
            Map<String, float[]> own = results(conv, precision, "own");
            Map<String, float[]> cudnn = results(conv, precision, "cudnn");
            double tolerance = TOLERANCES[List.of(Precision.FP32, Precision.F16, Precision.BF16).indexOf(precision)];
            own.forEach((what, values) -> assertNear(values, cudnn.get(what), tolerance, precision + " " + what));
        }
    }

    /** Odd numbers of channels, other kernels, two outputs a channel. */
    @ParameterizedTest
    @CsvSource({"3,1,1,2,7,7", "7,1,3,1,8,8", "3,1,1,1,8,16", "3,3,1,1,8,8"})
    void othersAreLeftToCudnn(int kernel, int stride, int padding, int n, int c, int out) {
        OpCase conv = depthwise(kernel, stride, padding, n, c, out, 9, 9);
        System.setProperty(FORCE, "own");
        try (Backend backend = Backends.open("cuda-emulated", 1);
                OpRun run = new OpRun(conv, backend, Precision.F16)) {
            assertEquals(List.of("cudnn", "cudnn", "cudnn"), run.implementations("conv"));
        }
    }

    /** The second time the engine is known, and made alone. */
    @ParameterizedTest
    @CsvSource({"own", "cudnn"})
    void aKnownEngineGivesTheSame(String engine) {
        OpCase conv = depthwise(3, 2, 1, 2, 24, 24, 10, 12);
        Map<String, float[]> first = results(conv, Precision.F16, engine);
        results(conv, Precision.F16, engine)
                .forEach((what, values) -> assertArrayEquals(first.get(what), values, what));
    }

    private static OpCase depthwise(int kernel, int stride, int padding, int n, int c, int out, int h, int w) {
        return new OpCase("depthwise").arg("x", OpCase.Use.ACTIVATION, n, c, h, w)
                .arg("w", OpCase.Use.WEIGHT, out, 1, kernel, kernel)
                .op(new Conv(Window.of(2, kernel, stride, padding), c, false));
    }

    private static Map<String, float[]> results(OpCase conv, Precision precision, String engine) {
        System.setProperty(FORCE, engine);
        try (Backend backend = Backends.open("cuda-emulated", 1); OpRun run = new OpRun(conv, backend, precision)) {
            assertEquals(List.of(engine, engine, engine), run.implementations("conv"));
            run.run();
            return run.results();
        }
    }

    private static void assertNear(float[] a, float[] b, double tolerance, String what) {
        double distance = 0;
        double length = 0;
        for (int i = 0; i < a.length; i++) {
            distance += Math.pow((double) a[i] - b[i], 2);
            length += Math.pow(b[i], 2);
        }
        double error = Math.sqrt(distance) / Math.max(Math.sqrt(length), 1e-3);
        assertTrue(error <= tolerance, what + " differ by " + error);
    }
}
