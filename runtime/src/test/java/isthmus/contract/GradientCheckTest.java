package isthmus.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.tensor.Region;
import isthmus.tensor.WeightTable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Derivatives against finite differences, element by element, float32: between the slopes to the left and to the right.
 * Where those differ much, the function has a kink (ReLU at 0) and the check says little, so there may be few of them.
 */
class GradientCheckTest {
    private static final float STEP = 1e-3f;
    private static final double TOLERANCE = 2e-3;
    private static final double KINK = 2e-2;
    private static final double MOST_KINKS = 0.1;

    /** Slopes to the left and to the right of a point. */
    private record Slope(double left, double right) {}

    static List<OpCase> cases() { return OpTable.tiny(); }

    @ParameterizedTest
    @MethodSource("cases")
    void derivativeAgreesWithFiniteDifferences(OpCase c) {
        try (ReferenceBackend backend = new ReferenceBackend(); OpRun run = new OpRun(c, backend, Precision.FP32)) {
            int checked = 0;
            for (WeightTable.Entry e : run.weights.table().entries()) {
                if (e.region() != Region.TRAINABLE) continue;
                run.run();
                double middle = run.objective();
                float[] analytic = run.gradients.slice(e).toArray(ValueLayout.JAVA_FLOAT);
                List<Slope> slopes = slopes(run, run.weights.slice(e), middle);
                assertClose(c + ": gradient of " + e.name(), analytic, slopes);
                checked++;
            }
            assertTrue(checked > 0, "nothing to differentiate");
        }
    }

    private static List<Slope> slopes(OpRun run, MemorySegment parameter, double middle) {
        int n = (int) (parameter.byteSize() / Float.BYTES);
        List<Slope> slopes = new ArrayList<>(n);
        for (int i = 0; i < n; i++) {
            float x = parameter.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            float over = x + STEP;
            float under = x - STEP;
            double above = at(run, parameter, i, over);
            double below = at(run, parameter, i, under);
            double right = (double) over - x;
            double left = (double) x - under;
            slopes.add(new Slope((middle - below) / left, (above - middle) / right));
            parameter.setAtIndex(ValueLayout.JAVA_FLOAT, i, x);
        }
        return slopes;
    }

    private static double at(OpRun run, MemorySegment parameter, int i, float x) {
        parameter.setAtIndex(ValueLayout.JAVA_FLOAT, i, x);
        run.run();
        return run.objective();
    }

    /** Each element, against the largest one of the gradient: cancellation makes small ones no worse than that. */
    private static void assertClose(String what, float[] analytic, List<Slope> slopes) {
        double largest = 0.01;
        for (Slope s : slopes)
            largest = Math.max(largest, Math.abs(s.left + s.right) / 2);
        int kinks = 0;
        for (int i = 0; i < analytic.length; i++) {
            Slope s = slopes.get(i);
            if (Math.abs(s.left - s.right) > KINK * largest) kinks++;
            assertEquals(Math.clamp(analytic[i], Math.min(s.left, s.right), Math.max(s.left, s.right)), analytic[i],
                    TOLERANCE * largest, what + " at " + i);
        }
        assertTrue(kinks <= Math.max(1, MOST_KINKS * analytic.length),
                what + ": " + kinks + " of " + analytic.length + " elements are at a kink");
    }
}
