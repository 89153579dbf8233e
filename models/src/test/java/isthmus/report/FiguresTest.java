package isthmus.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class FiguresTest {
    @Test
    void aMedianIsTheMiddleAndLeavesTheOrder() {
        double[] odd = {9, -1, 4};
        assertEquals(4, Figures.median(odd));
        assertArrayEquals(new double[]{9, -1, 4}, odd);
        assertEquals(2.5, Figures.median(4, 1, 100, 1.0));
        assertEquals(7, Figures.median(7.0));
        assertEquals(Double.NaN, Figures.median(new double[0]));
    }

    @Test
    void aMedianOfNanosecondsMayLieBetweenTwo() {
        long[] nanos = {4, 3, 1000, 1};
        assertEquals(3.5, Figures.median(nanos));
        assertEquals(4, nanos[0]);
    }

    @Test
    void decimalsAreRounded() {
        assertEquals(2.35, Figures.round(2.3456, 2));
        assertEquals(-1.2, Figures.round(-1.23, 1));
        assertEquals(1e12, Figures.round(1e12, 3));
        assertEquals(Double.NaN, Figures.round(Double.NaN, 2));
        assertEquals(Double.NEGATIVE_INFINITY, Figures.round(Double.NEGATIVE_INFINITY, 2));
    }

    @Test
    void fourDigitsAreKeptWhereverThePointStands() {
        assertEquals(123500, Figures.digits(123456));
        assertEquals(-0.001235, Figures.digits(-0.00123456));
        assertEquals(0, Figures.digits(0));
        assertEquals(Double.POSITIVE_INFINITY, Figures.digits(Double.POSITIVE_INFINITY));
    }
}
