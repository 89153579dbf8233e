package isthmus.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Every op on every backend of this machine, forward and backward, in every precision, against the op's own plain Java at
 * the same precision, at shapes that kernels dislike.
 */
class OpContractTest {
    private static final int THREADS = 2;

    @TestFactory
    List<DynamicTest> everyOpAgreesWithItsReference() {
        List<DynamicTest> tests = new ArrayList<>();
        for (BackendProvider backend : Backends.all()) {
            if (backend.problem().isPresent() && !backend.name().equals("cpu")) continue;
            for (Precision precision : Precision.values())
                for (OpCase c : OpTable.awkward())
                    tests.add(DynamicTest.dynamicTest(backend.name() + ", " + precision + ": " + c,
                            () -> agrees(backend, precision, c)));
        }
        assertFalse(tests.isEmpty(), "no backend found: nothing was tested");
        return tests;
    }

    private static void agrees(BackendProvider subject, Precision precision, OpCase c) {
        Map<String, float[]> expected = results(new ReferenceBackend(), precision, c);
        Map<String, float[]> got = results(subject.open(THREADS), precision, c);
        assertEquals(expected.keySet(), got.keySet());
        double tolerance = precision == Precision.FP32 ? 1e-5 : 2e-2;
        expected.forEach((what, values) -> {
            double error = relative(got.get(what), values);
            assertTrue(error <= tolerance, () -> c + ": " + what + " is off by " + error + ", more than " + tolerance);
        });
    }

    private static Map<String, float[]> results(Backend backend, Precision precision, OpCase c) {
        try (backend; OpRun run = new OpRun(c, backend, precision)) {
            run.run();
            return run.results();
        }
    }

    /** Distance over length, both Euclidean. */
    private static double relative(float[] got, float[] expected) {
        assertEquals(expected.length, got.length);
        double distance = 0;
        double length = 0;
        for (int i = 0; i < got.length; i++) {
            distance += Math.pow((double) got[i] - expected[i], 2);
            length += Math.pow(expected[i], 2);
        }
        return Math.sqrt(distance) / Math.max(Math.sqrt(length), 1e-3);
    }
}
