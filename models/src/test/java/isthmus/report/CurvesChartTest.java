package isthmus.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The picture holds what it was given, and draws without fonts. */
class CurvesChartTest {
    private static final int BLUE = 0x0072B2;

    @TempDir
    Path folder;

    @Test
    void aRisingCurveRunsFromTheLowerLeftToTheUpperRight() throws Exception {
        BufferedImage image = drawn(List.of(0.5, 0.6, 0.7, 0.8, 0.9));
        int[] first = firstAndLast(image);
        assertTrue(first[0] < first[2], "from left to right");
        assertTrue(first[1] > first[3], "from below upwards");
    }

    @Test
    void aGapIsNotBridged() throws Exception {
        int whole = blue(drawn(List.of(0.5, 0.5, 0.5, 0.5)));
        int broken = blue(drawn(List.of(0.5, Double.NaN, Double.NaN, 0.5)));
        assertTrue(broken < whole / 2, broken + " against " + whole + " blue pixels");
    }

    @Test
    void lettersAndDigitsLeaveInk() throws Exception {
        for (char c : "09azAZ.,:-_/()%+=".toCharArray()) {
            BufferedImage with = drawn(List.of(1.0), String.valueOf(c));
            BufferedImage without = drawn(List.of(1.0), " ");
            assertNotEquals(ink(without), ink(with), "the letter " + c);
        }
        assertEquals(0, StrokeFont.width("", 9));
        assertTrue(StrokeFont.width("ii", 9) < StrokeFont.width("mm", 9));
    }

    private BufferedImage drawn(List<Double> values) throws Exception { return drawn(values, "title"); }

    private BufferedImage drawn(List<Double> values, String title) throws Exception {
        Path file = folder.resolve("curves.png");
        CurvesChart.write(file, title,
                List.of(new CurvesChart.Panel("panel", "round",
                        List.of(new CurvesChart.Curve("site_a", 0, false, values)))));
        return ImageIO.read(file.toFile());
    }

    private static int blue(BufferedImage image) {
        int count = 0;
        for (int y = 0; y < image.getHeight(); y++)
            for (int x = 0; x < image.getWidth(); x++)
                if ((image.getRGB(x, y) & 0xFFFFFF) == BLUE) count++;
        return count;
    }

    private static int ink(BufferedImage image) {
        int count = 0;
        for (int y = 0; y < 40; y++)
            for (int x = 0; x < image.getWidth(); x++)
                if ((image.getRGB(x, y) & 0xFF) < 200) count++;
        return count;
    }

    /** The leftmost and rightmost blue pixels above the legend: x, y, x, y. */
    private static int[] firstAndLast(BufferedImage image) {
        int[] found = null;
        for (int x = 0; x < image.getWidth(); x++)
            for (int y = 60; y < 400; y++) {
                if ((image.getRGB(x, y) & 0xFFFFFF) != BLUE) continue;
                if (found == null) found = new int[]{x, y, x, y};
                found[2] = x;
                found[3] = y;
            }
        return found;
    }
}
