package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.ReferenceBackend;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;

import org.junit.jupiter.api.Test;

class AugmentTest {
    private static final Preprocess PREPROCESS = new Preprocess(37, 30, Preprocess.Fit.CROP, 1, List.of(0.0),
            List.of(1.0));
    private static final MemorySegment SQUARE = square();

    private static MemorySegment square() {
        byte[] samples = new byte[37 * 37];
        for (int i = 0; i < samples.length; i++)
            samples[i] = (byte) (60 + i % 37 * 2 + i / 37);
        return MemorySegment.ofArray(samples);
    }

    private static float[] varied(Augment augment, long seed, long epoch, long item) {
        return picture((raw, to) -> raw.varied(SQUARE, 0, augment, seed, epoch, item, to, 0));
    }

    private static float[] centre() { return picture((raw, to) -> raw.centre(SQUARE, 0, to, 0)); }

    private static float[] picture(BiConsumer<RawPictures, MemorySegment> write) {
        try (Arena arena = Arena.ofConfined(); ReferenceBackend backend = new ReferenceBackend()) {
            MemorySegment raw = arena.allocate(PREPROCESS.raw().bytes(), 16);
            write.accept(new RawPictures(PREPROCESS), raw);
            return Warped.on(backend, PREPROCESS, raw);
        }
    }

    @Test
    void aDrawDependsOnSeedEpochAndItemOnly() {
        float[] one = varied(Augment.CHEST, 1, 2, 3);
        varied(Augment.CHEST, 9, 9, 9);
        assertArrayEquals(one, varied(Augment.CHEST, 1, 2, 3), 0f);
        assertFalse(Arrays.equals(one, varied(Augment.CHEST, 2, 2, 3)));
        assertFalse(Arrays.equals(one, varied(Augment.CHEST, 1, 3, 3)));
        assertFalse(Arrays.equals(one, varied(Augment.CHEST, 1, 2, 4)));
    }

    @Test
    void noneIsTheMiddleItself() { assertArrayEquals(centre(), varied(Augment.NONE, 1, 2, 3), 0f); }

    @Test
    void aFlipMirrors() {
        float[] flipped = varied(new Augment(0, 1, 0, 0, 0, 0, 0), 1, 2, 3);
        float[] plain = centre();
        for (int i = 0; i < plain.length; i++)
            assertEquals(plain[i / 30 * 30 + 29 - i % 30], flipped[i]);
    }

    /** The square is a plane a + 2 x + y: what a shift, turn or zoom does to it is known at every pixel. */
    @Test
    void shiftTurnAndZoomMoveThePlaneAsTheyShould() {
        for (int item = 0; item < 50; item++) {
            float[] shifted = varied(new Augment(0.1, 0, 0, 0, 0, 0, 0), 1, 2, item);
            double offset = (shifted[15 * 30 + 15] - centre()[15 * 30 + 15]) * 255;
            assertTrue(Math.abs(offset) <= 3 * 3.01, "shifted by more than a tenth: " + offset);
            for (int i = 31; i < 30 * 29; i++)
                if (i % 30 > 3 && i % 30 < 26 && i / 30 > 3 && i / 30 < 26)
                    assertEquals(centre()[i] * 255 + offset, shifted[i] * 255, 0.02);
            float[] turned = varied(new Augment(0, 0, 10, 0, 0, 0, 0), 1, 2, item);
            double right = (turned[15 * 30 + 16] - turned[15 * 30 + 15]) * 255;
            double down = (turned[16 * 30 + 15] - turned[15 * 30 + 15]) * 255;
            // The gradient turns, and keeps its length.
            assertEquals(Math.sqrt(5), Math.hypot(right, down), 0.02);
            assertTrue(Math.abs(Math.toDegrees(Math.atan2(down, right) - Math.atan2(1, 2))) <= 10.1);
            float[] zoomed = varied(new Augment(0, 0, 0, 0.2, 0, 0, 0), 1, 2, item);
            double slope = (zoomed[15 * 30 + 16] - zoomed[15 * 30 + 15]) * 255 / 2;
            assertTrue(slope > 1 / 1.21 && slope < 1 / 0.79, "zoomed by " + 1 / slope);
        }
    }

    @Test
    void tonesStayInRangeAndDoVary() {
        var augment = new Augment(0, 0, 0, 0, 0.3, 0.5, 1);
        double least = 1;
        double most = 0;
        for (int item = 0; item < 200; item++) {
            float[] out = varied(augment, 1, 2, item);
            for (float value : out)
                assertTrue(value >= 0 && value <= 1);
            least = Math.min(least, out[0]);
            most = Math.max(most, out[0]);
            // Each change keeps the order of the greys.
            for (int i = 1; i < 30; i++)
                assertTrue(out[i] >= out[i - 1]);
        }
        assertTrue(most - least > 0.2, "values from " + least + " to " + most);
    }

    @Test
    void drawsAreEven() {
        var random = new CounterRandom();
        double sum = 0;
        int[] dice = new int[6];
        for (int item = 0; item < 60_000; item++) {
            random.at(11, 0, item);
            sum += random.nextDouble();
            dice[random.nextInt(6)]++;
        }
        assertEquals(0.5, sum / 60_000, 0.006);
        for (int side : dice)
            assertEquals(10_000, side, 500);
    }

    @Test
    void sizesThatMakeNoSenseAreRefused() {
        for (double bad : new double[]{-0.1, 2, Double.NaN}) {
            DataException e = assertThrows(DataException.class, () -> new Augment(0, bad, 0, 0, 0, 0, 0));
            assertTrue(e.getMessage().contains("flip " + bad), e.getMessage());
        }
    }
}
