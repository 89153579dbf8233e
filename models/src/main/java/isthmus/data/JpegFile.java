package isthmus.data;

import java.io.ByteArrayOutputStream;

/**
 * A JPEG file's segments, walked from start to end before anything is decoded (ITU T.81 annex B).
 *
 * <p>
 * The walk proves that the file is whole, tells its size, and keeps only the segments that decoding needs: profiles,
 * thumbnails and comments never reach the decoder.
 */
final class JpegFile {
    /** Progressive files have about ten scans; each costs a pass over the whole picture. */
    private static final int MAX_SCANS = 100;
    /** In a baseline or progressive JPEG each 8 x 8 block costs at least one bit. */
    private static final int PIXELS_A_BYTE = 512;
    private static final int SOF0 = 0xC0;
    private static final int SOF2 = 0xC2;
    private static final int DHT = 0xC4;
    private static final int JPG = 0xC8;
    private static final int DAC = 0xCC;
    private static final int SOF15 = 0xCF;
    private static final int RST0 = 0xD0;
    private static final int RST7 = 0xD7;
    private static final int EOI = 0xD9;
    private static final int SOS = 0xDA;
    private static final int APP0 = 0xE0;
    private static final int APP1 = 0xE1;
    private static final int APP14 = 0xEE;
    private static final int APP15 = 0xEF;
    private static final int COM = 0xFE;

    /** How three or four components are to be read. */
    enum Color {
        GREY(-1), RGB(0), YCBCR(1), CMYK(0), YCCK(2);

        final int adobeTransform;

        Color(int adobeTransform) { this.adobeTransform = adobeTransform; }
    }

    private final byte[] b;
    private final long maxPixels;
    private final ByteArrayOutputStream kept;
    private int width;
    private int height;
    private int components;
    private boolean rgbNames;
    private boolean jfif;
    private int adobe = -1;
    private int orientation = 1;

    private JpegFile(byte[] bytes, long maxPixels) {
        b = bytes;
        this.maxPixels = maxPixels;
        kept = new ByteArrayOutputStream(bytes.length + 16);
    }

    static boolean isJpeg(byte[] bytes) {
        return bytes.length >= 3 && (bytes[0] & 0xFF) == 0xFF && (bytes[1] & 0xFF) == 0xD8 && (bytes[2] & 0xFF) == 0xFF;
    }

    /** Walks the whole file; what follows its end marker is left alone. */
    static JpegFile walk(byte[] bytes, long maxPixels) {
        var file = new JpegFile(bytes, maxPixels);
        int at = 2;
        int scans = 0;
        while (true) {
            while (at + 1 < bytes.length && bytes[at] == (byte) 0xFF && bytes[at + 1] == (byte) 0xFF)
                at++;
            if (at + 1 >= bytes.length)
                throw truncated(bytes.length);
            if (bytes[at] != (byte) 0xFF)
                throw damaged("byte " + at + " should begin a marker");
            int marker = bytes[at + 1] & 0xFF;
            if (marker == EOI)
                break;
            int end = file.segmentEnd(at);
            file.segment(marker, at, end);
            if (marker == SOS) {
                if (++scans > MAX_SCANS)
                    throw damaged("it has more than " + MAX_SCANS + " scans");
                int next = file.scanEnd(end);
                file.kept.write(bytes, at, next - at);
                end = next;
            }
            at = end;
        }
        if (scans == 0)
            throw damaged("it holds no picture data");
        return file;
    }

    int width() { return width; }

    int height() { return height; }

    int orientation() { return orientation; }

    /** By the rules of libjpeg: JFIF means YCbCr, else Adobe's marker tells, else the components' names. */
    Color color() {
        return switch (components) {
            case 1 -> Color.GREY;
            case 3 -> jfif ? Color.YCBCR : adobe == 0 || (adobe < 0 && rgbNames) ? Color.RGB : Color.YCBCR;
            default -> adobe == 2 ? Color.YCCK : Color.CMYK;
        };
    }

    /** Whether the inks of a CMYK picture are stored as 255 - value, as Adobe does. */
    boolean adobe() {
        return adobe >= 0;
    }

    /** The file again, with its tables and scans only, and one marker that leaves no doubt about the colours. */
    byte[] essential() {
        byte[] body = kept.toByteArray();
        var out = new ByteArrayOutputStream(body.length + 20);
        out.writeBytes(new byte[]{(byte) 0xFF, (byte) 0xD8});
        if (components > 1)
            out.writeBytes(new byte[]{(byte) 0xFF, (byte) APP14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0,
                    (byte) color().adobeTransform});
        out.writeBytes(body);
        out.writeBytes(new byte[]{(byte) 0xFF, (byte) EOI});
        return out.toByteArray();
    }

    private int segmentEnd(int at) {
        if (at + 4 > b.length)
            throw truncated(b.length);
        int marker = b[at + 1] & 0xFF;
        if (marker < SOF0 || (marker >= RST0 && marker <= 0xD8))
            throw damaged(String.format("marker %02X at byte %d does not belong there", marker, at));
        int length = u16(at + 2);
        if (length < 2)
            throw damaged(String.format("segment %02X at byte %d has the length %d", marker, at, length));
        if (at + 2 + length > b.length)
            throw truncated(b.length);
        return at + 2 + length;
    }

    private void segment(int marker, int at, int end) {
        if (marker == APP0)
            jfif |= starts(at + 4, end, "JFIF\0");
        else if (marker == APP1 && starts(at + 4, end, "Exif\0\0"))
            orientation = Exif.orientation(b, at + 10, end);
        else if (marker == APP14 && starts(at + 4, end, "Adobe") && end - at >= 16)
            adobe = b[at + 15] & 0xFF;
        else if (marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC)
            frame(marker, at, end);
        if (marker == SOS && width == 0)
            throw damaged("its picture data come before its size");
        // A scan is kept with its data, by the caller.
        if (marker != SOS && marker != COM && (marker < APP0 || marker > APP15))
            kept.write(b, at, end - at);
    }

    private void frame(int marker, int at, int end) {
        if (marker > SOF2)
            throw new DataException("is a JPEG of a rare kind (lossless, hierarchical or arithmetic-coded, marker "
                    + Integer.toHexString(marker) + "); save it as baseline JPEG or PNG");
        if (width != 0)
            throw damaged("it gives its size twice");
        if (end - at < 10)
            throw damaged("its frame header is too short");
        if (b[at + 4] != 8)
            throw new DataException("is a JPEG of " + b[at + 4] + " bits; only 8 are read: save it as 16-bit PNG");
        height = u16(at + 5);
        width = u16(at + 7);
        components = b[at + 9] & 0xFF;
        if (width == 0 || height == 0)
            throw damaged("its header says " + width + " x " + height + " pixels");
        if ((components != 1 && components != 3 && components != 4) || end - at != 10 + 3 * components)
            throw damaged("its header says " + components + " colour components");
        if ((long) width * height > maxPixels)
            throw ImageReader.tooLarge(width, height, maxPixels);
        if ((long) width * height > (long) PIXELS_A_BYTE * b.length)
            throw damaged("its header claims " + width + " x " + height + " pixels, which " + b.length
                    + " bytes cannot hold");
        rgbNames = components == 3 && b[at + 10] == 'R' && b[at + 13] == 'G' && b[at + 16] == 'B';
    }

    /** Skips entropy-coded data: there, FF is always followed by 00 or a restart marker. */
    private int scanEnd(int start) {
        for (int at = start; at + 1 < b.length; at++) {
            if (b[at] != (byte) 0xFF)
                continue;
            int next = b[at + 1] & 0xFF;
            if (next != 0 && next != 0xFF && (next < RST0 || next > RST7))
                return at;
        }
        throw truncated(b.length);
    }

    private boolean starts(int at, int end, String text) {
        if (end - at < text.length())
            return false;
        for (int i = 0; i < text.length(); i++)
            if (b[at + i] != text.charAt(i))
                return false;
        return true;
    }

    private int u16(int at) { return (b[at] & 0xFF) << 8 | (b[at + 1] & 0xFF); }

    private static DataException truncated(int length) {
        return new DataException("is a truncated JPEG: it stops after " + length
                + " bytes without its end marker; copy it again from its source");
    }

    private static DataException damaged(String what) {
        return new DataException("is a damaged JPEG: " + what + "; copy it again from its source");
    }
}
