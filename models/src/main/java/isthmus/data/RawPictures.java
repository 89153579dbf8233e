package isthmus.data;

import isthmus.tensor.RawPicture;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Writes one square of grey bytes as a {@link RawPicture}: the bytes as they are, beside the draw of how they vary, so that the
 * device turns, cuts, tones and normalises. One a thread: it holds scratch.
 *
 * <p>
 * Places are counted in whole numbers of 2^-32 pixels, and only exact functions (StrictMath, no fused multiply-add) are used:
 * the bits are the same on every machine.
 */
final class RawPictures {
    private final RawPicture picture;
    private final int size;
    private final Tones plain = new Tones();
    private final Tones tones = new Tones();
    private final CounterRandom random = new CounterRandom();

    RawPictures(Preprocess preprocess) {
        picture = preprocess.raw();
        size = preprocess.size();
        plain.set(1, 1, 0);
    }

    /** The middle, unchanged. */
    void centre(MemorySegment squares, long square, MemorySegment out, long offset) {
        long margin = (long) ((picture.side() - size) / 2) << RawPicture.FRACTION;
        long one = 1L << RawPicture.FRACTION;
        RawPicture.place(out, offset, margin, margin, one, 0, 0, one);
        put(plain, squares, square, out, offset);
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
        double cos = StrictMath.cos(angle) * zoom;
        double sin = StrictMath.sin(angle) * zoom;
        // Centre of the unchanged crop, in source pixels whose centres lie at whole numbers.
        int margin = (picture.side() - size) / 2;
        double half = (size - 1) / 2.0;
        double middle = margin + half;
        double left = flipped ? half : -half;
        double right = flipped ? -1 : 1;
        RawPicture.place(out, offset, fixed(middle + shiftX + cos * left + sin * half),
                fixed(middle + shiftY + sin * left - cos * half), fixed(right * cos), fixed(right * sin), fixed(-sin),
                fixed(cos));
        tones.set(gamma, contrast, brightness);
        put(tones, squares, square, out, offset);
    }

    private static long fixed(double place) { return StrictMath.round(place * (1L << RawPicture.FRACTION)); }

    private void put(Tones with, MemorySegment squares, long square, MemorySegment out, long offset) {
        MemorySegment.copy(with.values, 0, out, ValueLayout.JAVA_FLOAT, offset + RawPicture.TONES,
                with.values.length);
        MemorySegment.copy(squares, square, out, offset + RawPicture.PIXELS, (long) picture.side() * picture.side());
    }
}
