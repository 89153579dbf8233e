package isthmus.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A grey square as it travels in a batch: its bytes as they were read, and how it is to be looked at, so that a device makes
 * what the network sees. In memory: six int64 that say where the points of the picture lie in the square, in units of 2^-32
 * pixels whose centres lie at whole numbers; 256 float32, the tone of each grey value; {@code side * side} bytes, row by row.
 *
 * @param side pixels a side
 */
public record RawPicture(int side) {
    /** Byte at which the tones begin. */
    public static final int TONES = 6 * Long.BYTES;

    /** Byte at which the pixels begin. */
    public static final int PIXELS = TONES + 256 * Float.BYTES;

    /** Bits of a place behind the point. */
    public static final int FRACTION = 32;

    private static final int ALIGNMENT = 16;
    private static final int MOST = 32_768;

    public RawPicture {
        if (side < 1 || side > MOST)
            throw new IllegalArgumentException("a raw picture of " + side + " pixels a side; it is 1 to " + MOST);
    }

    /** What one takes, bytes: a multiple of 16. */
    public int bytes() {
        return Math.toIntExact((PIXELS + (long) side * side + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    }

    /**
     * Writes where the points lie.
     *
     * @param at byte of {@code to} at which the picture begins
     * @param x place of the first point of the first row
     * @param columnX step from one column to the next
     * @param rowX step from one row to the next
     */
    public static void place(MemorySegment to, long at, long x, long y, long columnX, long columnY, long rowX,
            long rowY) {
        to.set(ValueLayout.JAVA_LONG, at, x);
        to.set(ValueLayout.JAVA_LONG, at + 8, y);
        to.set(ValueLayout.JAVA_LONG, at + 16, columnX);
        to.set(ValueLayout.JAVA_LONG, at + 24, columnY);
        to.set(ValueLayout.JAVA_LONG, at + 32, rowX);
        to.set(ValueLayout.JAVA_LONG, at + 40, rowY);
    }
}
