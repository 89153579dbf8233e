package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.OptionalDouble;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.jupiter.api.Test;

/** The area under the curve against its definition: the share of pairs in the right order. */
class AurocTest {
    private static OptionalDouble pairs(float[] scores, float[] labels) {
        double right = 0;
        long all = 0;
        for (int p = 0; p < scores.length; p++)
            for (int n = 0; n < scores.length; n++)
                if (labels[p] == 1 && labels[n] == 0) {
                    all++;
                    right += scores[p] > scores[n] ? 1 : scores[p] == scores[n] ? 0.5 : 0;
                }
        return all == 0 ? OptionalDouble.empty() : OptionalDouble.of(right / all);
    }

    /** Few distinct scores, so most pairs tie; a fifth of the labels is unknown. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5, 17, 64, 301})
    void countsPairs(int n) {
        int defined = 0;
        for (long seed = 0; seed < 40; seed++) {
            SplittableRandom random = new SplittableRandom(100L * n + seed);
            int levels = seed % 2 == 0 ? 4 : 1_000_000;
            float[] scores = new float[n];
            float[] labels = new float[n];
            for (int i = 0; i < n; i++) {
                scores[i] = random.nextInt(levels) / (float) levels - 0.5f;
                labels[i] = random.nextInt(5) - 1 < 0 ? -1 : random.nextInt(2);
            }
            OptionalDouble expected = pairs(scores, labels);
            OptionalDouble got = Auroc.of(scores, labels);
            assertEquals(expected.isPresent(), got.isPresent());
            if (expected.isEmpty()) continue;
            assertEquals(expected.getAsDouble(), got.getAsDouble(), 1e-12);
            defined++;
        }
        assertTrue(n == 1 ? defined == 0 : defined > 0, defined + " areas were compared");
    }

    @Test
    void knownValues() {
        float[] labels = {0, 0, 1, 1};
        assertEquals(1, of(labels, 1, 2, 3, 4));
        assertEquals(0, of(labels, 4, 3, 2, 1));
        assertEquals(0.5, of(labels, 7, 7, 7, 7));
        assertEquals(0.75, of(labels, 0.1f, 0.4f, 0.35f, 0.8f));
        assertEquals(0.5, of(new float[]{0, 1}, -0.0f, 0.0f), "the two zeros are equal");
        assertEquals(1, of(labels, Float.NEGATIVE_INFINITY, 0, 1, Float.POSITIVE_INFINITY));
    }

    private static double of(float[] labels, float... scores) { return Auroc.of(scores, labels).orElseThrow(); }

    @Test
    void unknownLabelsAreLeftOut() {
        assertEquals(of(new float[]{0, 1, 0, 1}, 1, 2, 3, 4),
                of(new float[]{-1, 0, 1, -1, 0, 1, -1}, 9, 1, 2, 2, 3, 4, -9));
    }

    @Test
    void oneClassHasNoArea() {
        for (float[] labels : new float[][]{{}, {1}, {0}, {1, 1, -1}, {0, 0, -1}, {-1, -1}})
            assertEquals(OptionalDouble.empty(), Auroc.of(new float[labels.length], labels));
    }

    @Test
    void refusesNaNAndUnequalLengths() {
        for (float label : new float[]{0, 1, -1})
            refused("NaN", new float[]{1, Float.NaN, 2}, 0, label, 1);
        refused("1 scores, 2 labels", new float[]{1}, 0, 1);
    }

    private static void refused(String why, float[] scores, float... labels) {
        String message = assertThrows(IllegalArgumentException.class, () -> Auroc.of(scores, labels)).getMessage();
        assertTrue(message.contains(why), message);
    }
}
