package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** The window of time, by a clock that the test turns; and what counts as a gain. */
class BudgetTest {
    @Test
    void itIsSpentWhenTheEndNoLongerFits() {
        var clock = new AtomicLong(1_000);
        var budget = new Budget(2, clock::get);
        assertFalse(budget.isSpent());
        clock.addAndGet(119_000_000_000L);
        assertFalse(budget.isSpent());
        budget.reserve(500_000_000L);
        assertFalse(budget.isSpent());
        budget.reserve(1_500_000_000L);
        assertTrue(budget.isSpent(), "a second and a half is needed, a second is left");
        budget.reserve(1);
        assertTrue(budget.isSpent(), "the longest end counts");
    }

    @Test
    void withoutMinutesItIsNever() {
        var clock = new AtomicLong();
        var budget = new Budget(0, clock::get);
        clock.set(Long.MAX_VALUE);
        assertFalse(budget.isSpent());
    }

    @Test
    void gainsBelowTheLeastDoNotCountButTheBestIsKept() {
        var gains = new Gains(new Recipe.EarlyStop(3, 0.01));
        assertTrue(gains.note(1, 0.8));
        assertTrue(gains.note(2, 0.805), "better all the same");
        assertFalse(gains.isStalled());
        assertFalse(gains.note(3, 0.7));
        assertTrue(gains.note(4, 0.81), "in small steps, but never by 0.01");
        assertTrue(gains.isStalled());
        assertEquals(4, gains.bestEpoch());
        assertTrue(gains.note(5, 0.9));
        assertFalse(gains.isStalled());
    }

    @Test
    void withoutPatienceNothingStalls() {
        var gains = new Gains(Recipe.EarlyStop.OFF);
        for (int e = 1; e < 100; e++)
            gains.note(e, -e);
        assertFalse(gains.isStalled());
        assertEquals(1, gains.bestEpoch());
    }

    @Test
    void whatIsNoNumberIsNoGain() {
        var gains = new Gains(new Recipe.EarlyStop(2, 0));
        assertFalse(gains.note(1, Double.NaN));
        assertFalse(gains.note(2, Double.NaN));
        assertTrue(gains.isStalled());
    }
}
