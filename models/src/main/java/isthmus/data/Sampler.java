package isthmus.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Writes the middle of one square of grey bytes as the float32 picture that the network sees. One a thread: it holds scratch. */
final class Sampler {
    private static final ValueLayout.OfByte U8 = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final int side;
    private final int size;
    private final int channels;
    private final float[] mean;
    private final float[] inverse;
    private final Tones tones = new Tones();
    private final byte[] greys;
    private final float[] pixels;

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
        greys = new byte[size];
        pixels = new float[size * channels];
        tones.set(1, 1, 0);
    }

    /** The middle, unchanged. */
    void centre(MemorySegment squares, long square, MemorySegment out, long offset) {
        int margin = (side - size) / 2;
        for (int y = 0; y < size; y++) {
            MemorySegment.copy(squares, U8, square + (long) (margin + y) * side + margin, greys, 0, size);
            for (int c = 0; c < channels; c++)
                for (int x = 0; x < size; x++)
                    pixels[x * channels + c] = (tones.values[greys[x] & 0xFF] - mean[c]) * inverse[c];
            MemorySegment.copy(pixels, 0, out, F32, offset + (long) y * pixels.length * Float.BYTES, pixels.length);
        }
    }
}
