package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

/** The longest gradient by the progress of training. */
class ClipTest {
    @Test
    void eachPhaseHoldsUntilItsShareIsDone() {
        var clip = new Clip(List.of(new Clip.Phase(0.1, 3), new Clip.Phase(0.5, 1.5), new Clip.Phase(1, 0)));
        assertEquals(3, clip.at(0, 100));
        assertEquals(3, clip.at(9, 100));
        assertEquals(1.5, clip.at(10, 100));
        assertEquals(1.5, clip.at(49, 100));
        assertEquals(0, clip.at(50, 100));
        assertEquals(0, clip.at(1000, 100), "nothing after the end");
        assertEquals(0, Clip.NONE.at(3, 100));
        assertEquals(2, Clip.norm(2).at(99, 100));
    }

    /** The phase of the warm-up ends with the warm-up, whatever the number of steps. */
    @Test
    void endsWithTheWarmUp() {
        var clip = new Clip(List.of(new Clip.Phase(0.05, 3), new Clip.Phase(1, 1.5)));
        var schedule = new Schedule(0.05, 0);
        for (long total = 1; total < 300; total++) {
            for (long step = 0; step < total; step++) {
                boolean warmUp = step < (long) (total * schedule.warmupFraction());
                assertEquals(warmUp ? 3 : 1.5, clip.at(step, total), step + " of " + total);
            }
        }
    }

    @Test
    void refusesNonsense() {
        refused("a phase ends at 0.0 of all steps", () -> new Clip.Phase(0, 1));
        refused("a phase ends at 1.5 of all steps", () -> new Clip.Phase(1.5, 1));
        refused("the norm is -1.0", () -> Clip.norm(-1));
        refused("the norm is NaN", () -> Clip.norm(Double.NaN));
        refused("the last phase ends at 0.5", () -> new Clip(List.of(new Clip.Phase(0.5, 1))));
        refused("the last phase ends at 0.0", () -> new Clip(List.of()));
        refused("a phase until 0.5 follows one until 0.5",
                () -> new Clip(List.of(new Clip.Phase(0.5, 1), new Clip.Phase(0.5, 2), new Clip.Phase(1, 2))));
    }

    private static void refused(String why, org.junit.jupiter.api.function.Executable make) {
        String message = assertThrows(IllegalArgumentException.class, make).getMessage();
        assertTrue(message.contains(why), message);
    }
}
