package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Learning-rate factors at places whose value is known without the formula, and their shape between. */
class ScheduleTest {
    @Test
    void constantIsOne() {
        for (long total : new long[]{0, 1, 10, 1_000_000})
            for (long step : new long[]{0, 1, 9, 10, 11})
                assertEquals(1, Schedule.CONSTANT.factor(step, total), 0);
    }

    @Test
    void warmsUpInEqualStepsToOne() {
        Schedule s = new Schedule(0.1, 0.2);
        for (int i = 0; i < 10; i++)
            assertEquals((i + 1) / 10.0, s.factor(i, 100), 1e-15);
        assertEquals(1, s.factor(10, 100), 0);
    }

    /** A half cosine: half-way down in the middle, at a third (1 + 1/2)/2 of the way left, at the end all the way. */
    @Test
    void decaysAlongAHalfCosine() {
        Schedule s = new Schedule(0, 0.2);
        assertEquals(1, s.factor(0, 120), 0);
        assertEquals(0.2 + 0.8 * 0.75, s.factor(40, 120), 1e-12);
        assertEquals(0.6, s.factor(60, 120), 1e-12);
        assertEquals(0.2 + 0.8 * 0.25, s.factor(80, 120), 1e-12);
        assertEquals(0.2, s.factor(120, 120), 1e-12);
        assertEquals(0.2, s.factor(500, 120), 1e-12, "nothing after the end");
        assertEquals(0.6, new Schedule(0.5, 0.2).factor(90, 120), 1e-12, "the decay takes what the warm-up leaves");
    }

    @Test
    void risesThenFallsWithinItsBounds() {
        for (double warm : new double[]{0, 0.05, 0.3, 1})
            for (double least : new double[]{0, 0.1, 1})
                for (long total : new long[]{1, 2, 7, 100}) {
                    Schedule s = new Schedule(warm, least);
                    long peak = (long) (total * warm);
                    for (long i = 0; i < total + 3; i++) {
                        double now = s.factor(i, total);
                        double next = s.factor(i + 1, total);
                        assertTrue(now > 0 || least == 0, s + " at " + i);
                        assertTrue(now <= 1 && (i < peak || now >= least), s + " at " + i + ": " + now);
                        assertTrue(i < peak ? next >= now : next <= now, s + " turns at " + i + " of " + total);
                    }
                }
    }

    @Test
    void refusesWhatIsNoFraction() {
        for (double wrong : new double[]{-0.01, 1.01, Double.NaN, Double.POSITIVE_INFINITY}) {
            String message = assertThrows(IllegalArgumentException.class, () -> new Schedule(wrong, 0)).getMessage();
            assertTrue(message.contains("warm-up fraction " + wrong), message);
            message = assertThrows(IllegalArgumentException.class, () -> new Schedule(0, wrong)).getMessage();
            assertTrue(message.contains("least factor " + wrong), message);
        }
    }
}
