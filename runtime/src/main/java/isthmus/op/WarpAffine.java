package isthmus.op;

import isthmus.tensor.RawPicture;
import isthmus.tensor.Shape;
import java.util.List;

/**
 * Grey squares, bytes {@code [N,bytes]} that each lie as {@link RawPicture} says, to what a network sees,
 * {@code [N,C,size,size]}: each point is the linear blend of the tones of the four pixels around its place (beyond the square's
 * edge, of the nearest there), and channel c is {@code (blend - mean[c]) * scale[c]}. Crops, flips, turns, zooms, changes of
 * brightness and contrast, normalisation and the change of type are one pass; the pictures are data and have no gradient.
 *
 * @param picture what a square is
 * @param size pixels a side of what the network sees
 * @param mean one a channel, at most 4
 * @param scale one a channel
 */
public record WarpAffine(RawPicture picture, int size, List<Float> mean, List<Float> scale) implements Op {
    private static final int MOST_CHANNELS = 4;
    private static final int MOST_PIXELS = 32_768;
    private static final float UNIT = 0x1p-24f;

    public WarpAffine {
        ShapeException.require(size >= 1 && size <= MOST_PIXELS, "warp_affine",
                "pictures of " + size + " pixels a side; it is 1 to " + MOST_PIXELS);
        ShapeException.require(!mean.isEmpty() && mean.size() <= MOST_CHANNELS && mean.size() == scale.size(),
                "warp_affine", "means " + mean + " and scales " + scale + "; one of each a channel, 1 to "
                        + MOST_CHANNELS);
        mean = List.copyOf(mean);
        scale = List.copyOf(scale);
    }

    @Override
    public String name() { return "warp_affine"; }

    /** What comes in, for so many pictures. */
    public Spec input(int batch) {
        return new Spec(Shape.of(batch, picture.bytes()), Kind.BYTE);
    }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Spec x = in.get(0);
        ShapeException.rank(name(), x.shape(), 2);
        ShapeException.require(x.equals(input(x.shape().dim(0))), name(), "the input is " + x + "; a picture of "
                + picture.side() + " pixels a side takes " + picture.bytes() + " bytes");
        return List.of(new Spec(Shape.of(x.shape().dim(0), mean.size(), size, size), Kind.ACTIVATION));
    }

    @Override
    public void reference(Reference r) {
        int channels = mean.size();
        for (int n = 0; n < r.outShape(0).dim(0); n++) {
            Square s = Square.of(r.in(0), n * picture.bytes(), picture.side());
            for (int v = 0; v < size; v++) {
                for (int u = 0; u < size; u++) {
                    float grey = s.at(u, v);
                    for (int c = 0; c < channels; c++)
                        r.out(0)[((n * channels + c) * size + v) * size + u] = (grey - mean.get(c)) * scale.get(c);
                }
            }
        }
    }

    /** One square, with the place of the first point and the steps by column and by row. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Square(float[] bytes, int from, int side, long[] place, float[] tone) {
        static Square of(float[] bytes, int from, int side) {
            long[] place = new long[6];
            for (int i = 0; i < place.length; i++)
                place[i] = number(bytes, from + i * Long.BYTES, Long.BYTES);
            float[] tone = new float[256];
            for (int i = 0; i < tone.length; i++)
                tone[i] = Float.intBitsToFloat(
                        (int) number(bytes, from + RawPicture.TONES + i * Float.BYTES, Float.BYTES));
            return new Square(bytes, from + RawPicture.PIXELS, side, place, tone);
        }

        private static long number(float[] bytes, int at, int count) {
            long bits = 0;
            for (int i = count - 1; i >= 0; i--)
                bits = bits << 8 | (int) bytes[at + i];
            return bits;
        }

        float at(int u, int v) {
            long most = (long) (side - 1) << RawPicture.FRACTION;
            long x = Math.clamp(place[0] + u * place[2] + v * place[4], 0L, most);
            long y = Math.clamp(place[1] + u * place[3] + v * place[5], 0L, most);
            int column = (int) (x >> RawPicture.FRACTION);
            int row = (int) (y >> RawPicture.FRACTION);
            float top = between(tone(column, row), tone(column + 1, row), x);
            float bottom = between(tone(column, row + 1), tone(column + 1, row + 1), x);
            return between(top, bottom, y);
        }

        private float tone(int column, int row) {
            int at = Math.min(row, side - 1) * side + Math.min(column, side - 1);
            return tone[(int) bytes[from + at]];
        }

        private static float between(float a, float b, long place) {
            return a + (b - a) * ((int) (place >>> 8 & 0xFFFFFF) * UNIT);
        }
    }
}
