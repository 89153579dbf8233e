package isthmus.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Varied float pictures, made on the host one by one: the way that pictures took before the step made them itself, kept as what
 * the step's pictures are measured against.
 */
public final class FloatSampler {
    private static final ValueLayout.OfByte U8 = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final int FRACTION = 32;
    private static final float UNIT = 0x1p-24f;

    /** Logarithms of the grey values: StrictMath.pow would make three arrays a call, its exp makes none. */
    private static final double[] LOG = new double[256];

    static {
        for (int i = 1; i < LOG.length; i++)
            LOG[i] = StrictMath.log(i / 255.0);
    }

    private final int side;
    private final int size;
    private final int channels;
    private final float[] mean;
    private final float[] inverse;
    private final float[] tone = new float[256];
    private final byte[] greys;
    /** [side + 1, side + 1], once a variant was wanted. */
    private float[] toned = {};
    private final float[] row;
    private final float[] pixels;
    private final CounterRandom random = new CounterRandom();

    /** For a preprocessing. */
    public FloatSampler(Preprocess preprocess) {
        side = preprocess.resize();
        size = preprocess.size();
        channels = preprocess.channels();
        mean = new float[channels];
        inverse = new float[channels];
        for (int c = 0; c < channels; c++) {
            mean[c] = preprocess.mean().get(c).floatValue();
            inverse[c] = (float) (1 / preprocess.std().get(c));
        }
        greys = new byte[side];
        row = new float[size];
        pixels = new float[size * channels];
    }

    /** A variant: its draw depends on seed, epoch and item only. */
    public void varied(MemorySegment squares, long square, Augment a, long seed, long epoch, long item,
            MemorySegment out,
            long offset) {
        random.at(seed, epoch, item);
        boolean flipped = random.nextDouble() < a.flip();
        double angle = StrictMath.toRadians(random.symmetric(a.degrees()));
        double zoom = 1 / (1 + random.symmetric(a.scale()));
        double shiftX = random.symmetric(a.shift()) * size;
        double shiftY = random.symmetric(a.shift()) * size;
        double brightness = random.symmetric(a.brightness());
        double contrast = 1 + random.symmetric(a.contrast());
        double gamma = StrictMath.pow(1 + a.gamma(), random.symmetric(1));
        tone(gamma, contrast, brightness);
        look(squares, square);
        double cos = StrictMath.cos(angle) * zoom;
        double sin = StrictMath.sin(angle) * zoom;
        // Centre of the unchanged crop, in source pixels whose centres lie at whole numbers.
        int margin = (side - size) / 2;
        double middle = margin + (size - 1) / 2.0;
        double left = (size - 1) / (flipped ? 2.0 : -2.0);
        double right = flipped ? -1 : 1;
        for (int y = 0; y < size; y++) {
            double v = y - (size - 1) / 2.0;
            blend(fixed(middle + shiftX + cos * left - sin * v), fixed(right * cos),
                    fixed(middle + shiftY + sin * left + cos * v), fixed(right * sin));
            put(out, offset, y);
        }
    }

    private static long fixed(double place) { return StrictMath.round(place * (1L << FRACTION)); }

    /** Looks the square up in the tones. */
    private void look(MemorySegment squares, long square) {
        int wide = side + 1;
        if (toned.length == 0) toned = new float[wide * wide];
        for (int y = 0; y < side; y++) {
            MemorySegment.copy(squares, U8, square + (long) y * side, greys, 0, side);
            int at = y * wide;
            for (int x = 0; x < side; x++)
                toned[at + x] = tone[greys[x] & 0xFF];
            toned[at + side] = toned[at + side - 1];
        }
        System.arraycopy(toned, (side - 1) * wide, toned, side * wide, wide);
    }

    /** One row of the picture, from (x, y) on in steps of (dx, dy); the square's edge is repeated beyond it. */
    private void blend(long x, long dx, long y, long dy) {
        int wide = side + 1;
        long most = (long) (side - 1) << FRACTION;
        for (int i = 0; i < row.length; i++) {
            long cx = Math.clamp(x + i * dx, 0L, most);
            long cy = Math.clamp(y + i * dy, 0L, most);
            float fx = (int) (cx >>> 8 & 0xFFFFFF) * UNIT;
            float fy = (int) (cy >>> 8 & 0xFFFFFF) * UNIT;
            int at = (int) (cy >>> FRACTION) * wide + (int) (cx >>> FRACTION);
            float top = toned[at] + (toned[at + 1] - toned[at]) * fx;
            float bottom = toned[at + wide] + (toned[at + wide + 1] - toned[at + wide]) * fx;
            row[i] = top + (bottom - top) * fy;
        }
    }

    /** Normalises the row and writes it as the picture's row y. */
    private void put(MemorySegment out, long offset, int y) {
        for (int c = 0; c < channels; c++)
            for (int x = 0; x < size; x++)
                pixels[x * channels + c] = (row[x] - mean[c]) * inverse[c];
        MemorySegment.copy(pixels, 0, out, F32, offset + (long) y * pixels.length * Float.BYTES, pixels.length);
    }

    private void tone(double gamma, double contrast, double brightness) {
        for (int i = 0; i < 256; i++) {
            double v = i / 255.0;
            double curved = gamma == 1 || i == 0 ? v : StrictMath.exp(gamma * LOG[i]);
            tone[i] = (float) Math.clamp((curved - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0);
        }
    }
}
