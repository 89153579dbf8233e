package isthmus.data;

import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;

/** A PNG file's chunks, walked and checksummed before anything is inflated (PNG specification, third edition). */
final class PngFile {
    static final int GREY = 0;
    static final int RGB = 2;
    static final int PALETTE = 3;
    static final int GREY_ALPHA = 4;
    static final int RGBA = 6;
    private static final byte[] SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    private static final int IHDR = 0x49484452;
    private static final int PLTE = 0x504C5445;
    private static final int IDAT = 0x49444154;
    private static final int IEND = 0x49454E44;
    private static final int EXIF = 0x65584966;
    /** A row of pixels must stay small, whatever its form. */
    private static final int MAX_SIDE = 1 << 20;
    private static final int MAX_SPANS = 1 << 20;
    /** Deflate never packs tighter than this. */
    private static final long MAX_RATIO = 1032;

    /** A stretch of the file that holds compressed pixels. */
    record Span(int start, int length) {}

    final byte[] bytes;
    final List<Span> data = new ArrayList<>();
    int width;
    int height;
    int depth;
    int type;
    boolean interlaced;
    int[] palette = new int[0];
    int orientation = 1;

    private PngFile(byte[] bytes) { this.bytes = bytes; }

    static boolean isPng(byte[] bytes) {
        for (int i = 0; i < SIGNATURE.length; i++)
            if (i >= bytes.length || bytes[i] != SIGNATURE[i])
                return false;
        return true;
    }

    static PngFile walk(byte[] bytes, long maxPixels) {
        var file = new PngFile(bytes);
        long at = SIGNATURE.length;
        long packed = 0;
        int kind = 0;
        while (kind != IEND) {
            if (at + 12 > bytes.length)
                throw truncated(bytes.length);
            long length = file.u32((int) at);
            if (length > bytes.length - at - 12)
                throw truncated(bytes.length);
            int start = (int) at + 8;
            kind = (int) file.u32((int) at + 4);
            file.checksum(kind, start, (int) length);
            if ((file.width == 0) != (kind == IHDR))
                throw damaged("its header chunk is not the first, or not the only one");
            file.chunk(kind, start, (int) length, maxPixels);
            packed += kind == IDAT ? length : 0;
            at += length + 12;
        }
        if (file.data.isEmpty())
            throw damaged("it holds no picture data");
        long raw = (long) file.height * ((long) file.width * file.bitsAPixel() / 8);
        if (raw > packed * MAX_RATIO + 64)
            throw damaged("its header claims " + file.width + " x " + file.height + " pixels, which " + packed
                    + " packed bytes cannot hold");
        if (file.type == PALETTE && file.palette.length == 0)
            throw damaged("it has no palette");
        return file;
    }

    /** Samples a pixel. */
    int channels() {
        return switch (type) {
            case RGB -> 3;
            case GREY_ALPHA -> 2;
            case RGBA -> 4;
            default -> 1;
        };
    }

    int bitsAPixel() { return channels() * depth; }

    private void chunk(int kind, int start, int length, long maxPixels) {
        switch (kind) {
            case IHDR -> header(start, length, maxPixels);
            case PLTE -> palette(start, length);
            case IDAT -> {
                data.add(new Span(start, length));
                if (data.size() > MAX_SPANS)
                    throw damaged("its pixels lie in more than " + MAX_SPANS + " pieces");
            }
            case EXIF -> orientation = Exif.orientation(bytes, start, start + length);
            case IEND -> {
            }
            default -> {
                // Bit 5 of the first letter: set in chunks that a reader may skip.
                if ((kind >>> 24 & 0x20) == 0)
                    throw damaged("it needs a chunk of a kind that nobody knows (" + name(kind) + ")");
            }
        }
    }

    private void header(int start, int length, long maxPixels) {
        if (length != 13)
            throw damaged("its header has " + length + " bytes, not 13");
        long w = u32(start);
        long h = u32(start + 4);
        if (w == 0 || h == 0 || w > Integer.MAX_VALUE || h > Integer.MAX_VALUE)
            throw damaged("its header says " + w + " x " + h + " pixels");
        if (w > MAX_SIDE || h > MAX_SIDE || w * h > maxPixels)
            throw ImageReader.tooLarge(w, h, maxPixels);
        width = (int) w;
        height = (int) h;
        depth = bytes[start + 8];
        type = bytes[start + 9];
        boolean known = switch (type) {
            case GREY -> depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
            case PALETTE -> depth == 1 || depth == 2 || depth == 4 || depth == 8;
            case RGB, GREY_ALPHA, RGBA -> depth == 8 || depth == 16;
            default -> false;
        };
        int interlace = bytes[start + 12];
        if (!known || bytes[start + 10] != 0 || bytes[start + 11] != 0 || interlace < 0 || interlace > 1)
            throw damaged("its header names a form that does not exist (type " + type + ", " + depth + " bits)");
        interlaced = interlace == 1;
    }

    /** Kept as grey values. */
    private void palette(int start, int length) {
        if (length == 0 || length % 3 != 0 || length > 768)
            throw damaged("its palette has " + length + " bytes");
        palette = new int[length / 3];
        for (int i = 0; i < palette.length; i++)
            palette[i] = JpegDecoder.luma(bytes[start + 3 * i] & 0xFF, bytes[start + 3 * i + 1] & 0xFF,
                    bytes[start + 3 * i + 2] & 0xFF);
    }

    private void checksum(int kind, int start, int length) {
        var crc = new CRC32();
        crc.update(bytes, start - 4, length + 4);
        if (crc.getValue() != u32(start + length))
            throw damaged("chunk " + name(kind) + " at byte " + (start - 8) + " does not match its checksum");
    }

    private long u32(int at) {
        return (bytes[at] & 0xFFL) << 24 | (bytes[at + 1] & 0xFF) << 16 | (bytes[at + 2] & 0xFF) << 8
                | (bytes[at + 3] & 0xFF);
    }

    private static String name(int kind) {
        var text = new StringBuilder();
        for (int shift = 24; shift >= 0; shift -= 8) {
            int c = kind >>> shift & 0xFF;
            text.append(c >= 0x20 && c <= 0x7E ? (char) c : '?');
        }
        return text.toString();
    }

    private static DataException truncated(int length) {
        return new DataException("is a truncated PNG: it stops after " + length
                + " bytes without its end chunk; copy it again from its source");
    }

    static DataException damaged(String what) {
        return new DataException("is a damaged PNG: " + what + "; copy it again from its source");
    }
}
