package isthmus.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Writes one cached square of grey bytes as the float32 picture that the network sees. One a thread: it holds scratch.
 *
 * <p>
 * Brightness, contrast and gamma act on the 256 possible grey values, so a pixel costs four look-ups and a bilinear
 * blend. Only exact functions (StrictMath, no fused multiply-add) are used: the bits are the same on every machine.
 */
final class Sampler {
    private static final ValueLayout.OfByte U8 = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED;

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
    private final CounterRandom random = new CounterRandom();

    Sampler(Preprocess preprocess) {
        side = preprocess.resize();
        size = preprocess.size();
        channels = preprocess.channels();
        mean = new float[channels];
        inverse = new float[channels];
        for (int c = 0; c < channels; c++) {
            mean[c] = preprocess.mean().get(c).floatValue();
            inverse[c] = (float) (1 / preprocess.std().get(c));
        }
    }

    /** The middle, unchanged. */
    void centre(MemorySegment squares, long square, MemorySegment out, long offset) {
        tone(1, 1, 0);
        int margin = (side - size) / 2;
        long to = offset;
        for (int y = 0; y < size; y++) {
            long row = square + (long) (margin + y) * side + margin;
            for (int x = 0; x < size; x++)
                to = put(tone[squares.get(U8, row + x) & 0xFF], out, to);
        }
    }

    /** A variant: its draw depends on seed, epoch and item only. */
    void varied(MemorySegment squares, long square, Augment a, long seed, long epoch, long item, MemorySegment out,
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
        double cos = StrictMath.cos(angle) * zoom;
        double sin = StrictMath.sin(angle) * zoom;
        // Centre of the unchanged crop, in source pixels whose centres lie at whole numbers.
        int margin = (side - size) / 2;
        double middle = margin + (size - 1) / 2.0;
        long to = offset;
        for (int y = 0; y < size; y++) {
            double v = y - (size - 1) / 2.0;
            for (int x = 0; x < size; x++) {
                double u = flipped ? (size - 1) / 2.0 - x : x - (size - 1) / 2.0;
                double sx = middle + shiftX + cos * u - sin * v;
                double sy = middle + shiftY + sin * u + cos * v;
                to = put(bilinear(squares, square, sx, sy), out, to);
            }
        }
    }

    private float bilinear(MemorySegment squares, long square, double sx, double sy) {
        double cx = Math.clamp(sx, 0.0, side - 1.0);
        double cy = Math.clamp(sy, 0.0, side - 1.0);
        int x = (int) cx;
        int y = (int) cy;
        float fx = (float) (cx - x);
        float fy = (float) (cy - y);
        int right = x + 1 < side ? 1 : 0;
        long below = y + 1 < side ? side : 0;
        long at = square + (long) y * side + x;
        float a = tone[squares.get(U8, at) & 0xFF];
        float b = tone[squares.get(U8, at + right) & 0xFF];
        float c = tone[squares.get(U8, at + below) & 0xFF];
        float d = tone[squares.get(U8, at + below + right) & 0xFF];
        float top = a + (b - a) * fx;
        float bottom = c + (d - c) * fx;
        return top + (bottom - top) * fy;
    }

    private long put(float value, MemorySegment out, long to) {
        long at = to;
        for (int c = 0; c < channels; c++, at += Float.BYTES)
            out.set(F32, at, (value - mean[c]) * inverse[c]);
        return at;
    }

    private void tone(double gamma, double contrast, double brightness) {
        for (int i = 0; i < 256; i++) {
            double v = i / 255.0;
            double curved = gamma == 1 || i == 0 ? v : StrictMath.exp(gamma * LOG[i]);
            tone[i] = (float) Math.clamp((curved - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0);
        }
    }
}
