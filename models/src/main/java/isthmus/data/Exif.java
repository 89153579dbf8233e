package isthmus.data;

import isthmus.data.ImageReader.Plane;

/** The orientation tag of EXIF (a TIFF directory inside a JPEG's APP1 segment or a PNG's eXIf chunk). */
final class Exif {
    private static final int ORIENTATION = 0x0112;

    private Exif() {}

    /** The orientation 1 to 8 that a TIFF block names in its first directory; 1 (upright) where it names none. */
    static int orientation(byte[] b, int start, int end) {
        if (end - start < 14)
            return 1;
        boolean little = b[start] == 'I' && b[start + 1] == 'I';
        if (!little && !(b[start] == 'M' && b[start + 1] == 'M'))
            return 1;
        long directory = u16(b, start + 4, little) | (long) u16(b, start + 6, little) << 16;
        if (!little)
            directory = (long) u16(b, start + 4, false) << 16 | u16(b, start + 6, false);
        if (directory < 8 || directory + 2 > end - start)
            return 1;
        int at = start + (int) directory;
        int entries = u16(b, at, little);
        for (int i = 0; i < entries && at + 2 + 12 * (i + 1) <= end; i++) {
            int entry = at + 2 + 12 * i;
            if (u16(b, entry, little) == ORIENTATION) {
                int value = u16(b, entry + 8, little);
                return value >= 1 && value <= 8 ? value : 1;
            }
        }
        return 1;
    }

    /** Turns and mirrors a picture upright; the orientations 5 to 8 swap width and height. */
    static Plane upright(Plane p, int orientation) {
        if (orientation == 1)
            return p;
        int width = orientation >= 5 ? p.height : p.width;
        int height = orientation >= 5 ? p.width : p.height;
        byte[] out = new byte[p.samples.length];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int sx = switch (orientation) {
                    case 2, 3 -> p.width - 1 - x;
                    case 5, 6 -> y;
                    case 7, 8 -> p.width - 1 - y;
                    default -> x;
                };
                int sy = switch (orientation) {
                    case 3, 4 -> p.height - 1 - y;
                    case 5, 8 -> x;
                    case 6, 7 -> p.height - 1 - x;
                    default -> y;
                };
                out[y * width + x] = p.samples[sy * p.width + sx];
            }
        }
        return new Plane(width, height, out);
    }

    private static int u16(byte[] b, int at, boolean little) {
        int first = b[at] & 0xFF;
        int second = b[at + 1] & 0xFF;
        return little ? second << 8 | first : first << 8 | second;
    }
}
