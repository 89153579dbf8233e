package isthmus.data;

import java.util.Objects;
import java.util.Set;

/** A decoded picture: one grey byte a pixel, 0 black, rows from the top, upright as its EXIF orientation says. */
public final class GreyImage {
    /** What a careful program warns of, though the picture can be read. */
    public enum Flag {
        /** Every pixel is black, or nearly. */
        BLACK("is all black"),
        /** It looks like the negative of a chest film, as a MONOCHROME1 image read without inverting. */
        INVERTED("looks like a negative (bright outside, dark inside), as MONOCHROME1 read without inverting"),
        /** Too small to show anything. */
        TINY("is under " + ImageReader.TINY + " pixels wide or high");

        private final String words;

        Flag(String words) { this.words = words; }

        /** The flag as the end of a sentence that starts with the file's name. */
        public String words() {
            return words;
        }
    }

    private final int width;
    private final int height;
    private final byte[] samples;
    private final Set<Flag> flags;

    GreyImage(int width, int height, byte[] samples, Set<Flag> flags) {
        if (samples.length != Math.multiplyExact(width, height))
            throw new IllegalArgumentException(samples.length + " samples for " + width + " x " + height + " pixels");
        this.width = width;
        this.height = height;
        this.samples = samples;
        this.flags = Set.copyOf(flags);
    }

    /** A picture from samples that are already in memory: {@code width * height} bytes, rows from the top. */
    public static GreyImage of(int width, int height, byte[] samples) {
        byte[] own = samples.clone();
        return new GreyImage(width, height, own, FilmFlags.of(width, height, own));
    }

    public int width() { return width; }

    public int height() { return height; }

    /** The grey value at column x of row y, 0 to 255. */
    public int at(int x, int y) {
        Objects.checkIndex(x, width);
        return samples[y * width + x] & 0xFF;
    }

    /** What to warn of; empty if nothing. */
    public Set<Flag> flags() { return flags; }

    /** The samples themselves, not a copy; not to be written. */
    byte[] samples() { return samples; }
}
