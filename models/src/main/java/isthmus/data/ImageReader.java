package isthmus.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * Reads JPEG (8 bit, baseline or progressive; grey, YCbCr, RGB, CMYK) and PNG (every type and depth) as grey pictures.
 *
 * <p>
 * What the file is, its first bytes say, not its name. Colour becomes grey by Rec. 601 luma, alpha is left out, EXIF
 * orientation is applied. 16-bit samples are divided by the smallest 2^k - 1 (k from 8 to 16) that covers their maximum,
 * so 12-bit content in a 16-bit file comes out right. Size limits hold before pixel memory is taken. Safe for use by
 * several threads.
 */
public final class ImageReader {
    /** The default limit of a picture's pixels: 100 million. */
    public static final long MAX_PIXELS = 100_000_000;
    static final int TINY = 32;
    private static final long MAX_FILE_BYTES = 512L << 20;

    private final long maxPixels;

    public ImageReader() { this(MAX_PIXELS); }

    /** A reader that refuses pictures of more than {@code maxPixels} pixels, as their header says. */
    public ImageReader(long maxPixels) {
        if (maxPixels < 1 || maxPixels > 1L << 30)
            throw new IllegalArgumentException("the pixel limit is 1 to 2^30, not " + maxPixels);
        this.maxPixels = maxPixels;
    }

    /**
     * Reads one picture.
     *
     * @throws DataException in one line that names the file and the reason, if it is missing, truncated, damaged, too
     *                       large, or no image
     */
    public GreyImage read(Path file) {
        byte[] bytes;
        try {
            long size = Files.size(file);
            if (size > MAX_FILE_BYTES)
                throw new DataException(
                        file + ": has " + size + " bytes, more than the " + MAX_FILE_BYTES + " allowed");
            bytes = Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            throw new DataException(file + ": is not there; restore it or remove its row", e);
        } catch (IOException e) {
            throw new DataException(file + ": cannot be read (" + e + "); check its permissions", e);
        }
        try {
            return decode(bytes);
        } catch (DataException e) {
            throw new DataException(file + ": " + e.getMessage(), e);
        }
    }

    /** Decodes a file's bytes; the text of a refusal does not name a file. */
    public GreyImage decode(byte[] bytes) {
        if (bytes.length == 0)
            throw new DataException("is empty; copy it again from its source");
        if (JpegFile.isJpeg(bytes))
            return finished(JpegDecoder.decode(bytes, maxPixels));
        if (PngFile.isPng(bytes))
            return finished(PngDecoder.decode(bytes, maxPixels));
        throw new DataException("is neither JPEG nor PNG (it starts with " + start(bytes)
                + "); convert it, or remove its row");
    }

    /** Decoded samples and the EXIF orientation that they still need. */
    record Decoded(Plane plane, int orientation) {}

    /** Width, height and samples, while they are being made. */
    static final class Plane {
        final int width;
        final int height;
        final byte[] samples;

        Plane(int width, int height, byte[] samples) {
            this.width = width;
            this.height = height;
            this.samples = samples;
        }
    }

    private static GreyImage finished(Decoded decoded) {
        Plane upright = Exif.upright(decoded.plane, decoded.orientation);
        return new GreyImage(upright.width, upright.height, upright.samples,
                FilmFlags.of(upright.width, upright.height, upright.samples));
    }

    static DataException tooLarge(long width, long height, long maxPixels) {
        return new DataException("claims " + width + " x " + height + " pixels, more than the " + maxPixels
                + " allowed; it is damaged, or shrink it");
    }

    private static String start(byte[] bytes) {
        var text = new StringBuilder();
        for (int i = 0; i < Math.min(8, bytes.length); i++) {
            int b = bytes[i] & 0xFF;
            if (b < 0x20 || b > 0x7E)
                text.append(String.format("\\x%02X", b));
            else
                text.append((char) b);
        }
        return "\"" + text + "\"";
    }
}
