package isthmus.data;

/**
 * Resizes by a triangle filter that widens with the shrinking factor, as Pillow's and torchvision's antialiased bilinear
 * resize do: no source pixel is skipped, so fine structures do not alias.
 */
final class Resampler {
    private Resampler() {}

    /** A square of {@code side * side} grey bytes from the whole picture (stretch) or its central square (crop). */
    static byte[] square(GreyImage image, int side, Preprocess.Fit fit) {
        double shorter = Math.min(image.width(), image.height());
        boolean crop = fit == Preprocess.Fit.CROP;
        double w = crop ? shorter : image.width();
        double h = crop ? shorter : image.height();
        return resize(image, new Taps(image.width(), (image.width() - w) / 2, w, side),
                new Taps(image.height(), (image.height() - h) / 2, h, side));
    }

    /** The whole picture at another size. */
    static byte[] resize(GreyImage image, int width, int height) {
        return resize(image, new Taps(image.width(), 0, image.width(), width),
                new Taps(image.height(), 0, image.height(), height));
    }

    private static byte[] resize(GreyImage image, Taps across, Taps down) {
        int first = down.start[0];
        int last = down.start[down.count() - 1] + down.weight[down.count() - 1].length;
        float[] narrow = new float[(last - first) * across.count()];
        byte[] source = image.samples();
        for (int y = first; y < last; y++) {
            int row = y * image.width();
            for (int x = 0; x < across.count(); x++) {
                float[] weight = across.weight[x];
                int at = row + across.start[x];
                float sum = 0;
                for (int i = 0; i < weight.length; i++)
                    sum += weight[i] * (source[at + i] & 0xFF);
                narrow[(y - first) * across.count() + x] = sum;
            }
        }
        byte[] out = new byte[across.count() * down.count()];
        for (int y = 0; y < down.count(); y++) {
            float[] weight = down.weight[y];
            for (int x = 0; x < across.count(); x++) {
                int at = (down.start[y] - first) * across.count() + x;
                float sum = 0;
                for (int i = 0; i < weight.length; i++)
                    sum += weight[i] * narrow[at + i * across.count()];
                out[y * across.count() + x] = (byte) Math.clamp((long) (sum + 0.5f), 0, 255);
            }
        }
        return out;
    }

    /** For each target pixel of one axis: the first source pixel that counts, and the weights from there on. */
    private static final class Taps {
        final int[] start;
        final float[][] weight;

        /** Maps {@code length} source pixels from {@code offset} on, of {@code source}, to {@code target} pixels. */
        Taps(int source, double offset, double length, int target) {
            start = new int[target];
            weight = new float[target][];
            double scale = length / target;
            double reach = Math.max(1, scale);
            for (int i = 0; i < target; i++) {
                double centre = offset + (i + 0.5) * scale;
                int lo = Math.max(0, (int) Math.floor(centre - reach));
                int hi = Math.min(source, (int) Math.ceil(centre + reach));
                double[] w = new double[hi - lo];
                double sum = 0;
                for (int j = lo; j < hi; j++) {
                    w[j - lo] = Math.max(0, 1 - Math.abs(j + 0.5 - centre) / reach);
                    sum += w[j - lo];
                }
                start[i] = lo;
                weight[i] = new float[w.length];
                for (int j = 0; j < w.length; j++)
                    weight[i][j] = (float) (w[j] / sum);
            }
        }

        int count() { return start.length; }
    }
}
