package isthmus.data;

import isthmus.data.ImageReader.Decoded;
import isthmus.data.ImageReader.Plane;

import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Inflates a walked PNG row by row straight into grey samples.
 *
 * <p>
 * Ours, and not the JDK's: that one checks no checksums and turns 16-bit grey through a gamma curve. Needs two rows of
 * memory beside the result.
 */
final class PngDecoder {
    /** Adam7: first column, first row, column step, row step of each pass. */
    private static final int[][] PASSES = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
            {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    private static final int[][] ONE_PASS = {{0, 0, 1, 1}};

    private final PngFile file;
    private final Inflater inflater;
    private int nextSpan;
    /** Grey values of 8 bits, or, while the maximum is not yet known, of 16. */
    private final byte[] samples;
    private final char[] wide;

    private PngDecoder(PngFile file, Inflater inflater) {
        this.file = file;
        this.inflater = inflater;
        int pixels = Math.multiplyExact(file.width, file.height);
        samples = new byte[pixels];
        wide = file.depth == 16 ? new char[pixels] : new char[0];
    }

    static Decoded decode(byte[] bytes, long maxPixels) {
        PngFile file = PngFile.walk(bytes, maxPixels);
        Inflater inflater = new Inflater();
        try {
            var decoder = new PngDecoder(file, inflater);
            for (int[] pass : file.interlaced ? PASSES : ONE_PASS)
                decoder.pass(pass);
            decoder.finish();
            if (file.depth == 16)
                narrow(decoder.wide, decoder.samples);
            return new Decoded(new Plane(file.width, file.height, decoder.samples), file.orientation);
        } catch (DataFormatException e) {
            throw PngFile.damaged("its pixels cannot be unpacked (" + e.getMessage() + ")");
        } finally {
            inflater.end();
        }
    }

    /** Divides by the smallest 2^k - 1, k from 8 to 16, that covers the maximum: 12-bit values stay 12-bit values. */
    static void narrow(char[] wide, byte[] out) {
        int max = 0;
        for (char value : wide)
            max = Math.max(max, value);
        int full = 255;
        while (full < max)
            full = full << 1 | 1;
        for (int i = 0; i < out.length; i++)
            out[i] = (byte) ((wide[i] * 255L + full / 2) / full);
    }

    private void pass(int[] pass) throws DataFormatException {
        int columns = (file.width - pass[0] + pass[2] - 1) / pass[2];
        int rows = (file.height - pass[1] + pass[3] - 1) / pass[3];
        if (columns <= 0 || rows <= 0)
            return;
        int bytes = (int) (((long) columns * file.bitsAPixel() + 7) / 8);
        byte[] row = new byte[bytes + 1];
        byte[] above = new byte[bytes + 1];
        for (int r = 0; r < rows; r++) {
            fill(row);
            unfilter(row, above);
            int at = (pass[1] + r * pass[3]) * file.width + pass[0];
            store(row, columns, at, pass[2]);
            byte[] swap = above;
            above = row;
            row = swap;
        }
    }

    private void fill(byte[] row) throws DataFormatException {
        int filled = 0;
        while (filled < row.length) {
            int got = inflater.inflate(row, filled, row.length - filled);
            filled += got;
            if (got == 0 && (inflater.finished() || inflater.needsDictionary() || !feed()))
                throw PngFile.damaged("its pixels end early");
        }
    }

    private boolean feed() {
        if (!inflater.needsInput() || nextSpan == file.data.size())
            return false;
        PngFile.Span span = file.data.get(nextSpan++);
        inflater.setInput(file.bytes, span.start(), span.length());
        return true;
    }

    /** Reads to the end of the packed data, where its own checksum stands. */
    private void finish() throws DataFormatException {
        byte[] more = new byte[1];
        while (!inflater.finished()) {
            if (inflater.inflate(more) > 0)
                throw PngFile.damaged("it holds more pixels than its header says");
            if (!inflater.finished() && !feed())
                throw PngFile.damaged("its pixels end early");
        }
    }

    private void unfilter(byte[] row, byte[] above) {
        int step = Math.max(1, file.bitsAPixel() / 8);
        int filter = row[0];
        if (filter < 0 || filter > 4)
            throw PngFile.damaged("a row is filtered in a way that does not exist (" + filter + ")");
        for (int i = 1; filter != 0 && i < row.length; i++) {
            int left = i > step ? row[i - step] & 0xFF : 0;
            int up = above[i] & 0xFF;
            int corner = i > step ? above[i - step] & 0xFF : 0;
            int guess = switch (filter) {
                case 1 -> left;
                case 2 -> up;
                case 3 -> (left + up) / 2;
                default -> paeth(left, up, corner);
            };
            row[i] += (byte) guess;
        }
    }

    private static int paeth(int left, int up, int corner) {
        int p = left + up - corner;
        int a = Math.abs(p - left);
        int b = Math.abs(p - up);
        int c = Math.abs(p - corner);
        return a <= b && a <= c ? left : b <= c ? up : corner;
    }

    private void store(byte[] row, int columns, int at, int step) {
        int channels = file.channels();
        boolean color = file.type == PngFile.RGB || file.type == PngFile.RGBA;
        for (int x = 0; x < columns; x++) {
            int first = sample(row, x * channels);
            int grey = color
                    ? JpegDecoder.luma(first, sample(row, x * channels + 1), sample(row, x * channels + 2))
                    : first;
            if (file.type == PngFile.PALETTE) {
                if (grey >= file.palette.length)
                    throw PngFile.damaged("a pixel names colour " + grey + " of " + file.palette.length);
                samples[at + x * step] = (byte) file.palette[grey];
            } else if (file.depth == 16) {
                wide[at + x * step] = (char) grey;
            } else {
                samples[at + x * step] = (byte) (grey * 255 / ((1 << file.depth) - 1));
            }
        }
    }

    /** The n-th sample of an unfiltered row, whose first byte is the filter's name. */
    private int sample(byte[] row, int n) {
        if (file.depth == 8)
            return row[1 + n] & 0xFF;
        if (file.depth == 16)
            return (row[1 + 2 * n] & 0xFF) << 8 | (row[2 + 2 * n] & 0xFF);
        int bit = n * file.depth;
        return (row[1 + bit / 8] >> (8 - file.depth - bit % 8)) & ((1 << file.depth) - 1);
    }
}
