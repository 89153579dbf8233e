package isthmus.data;

import isthmus.data.GreyImage.Flag;

import java.util.EnumSet;
import java.util.Set;

/** Looks at a decoded picture for what a radiographer would notice at once. */
final class FilmFlags {
    private static final int GRID = 8;
    /** The mean of 1,367 frontal chest films of adults and children, in 8 x 8 fields: dark corners, lungs, bright middle. */
    private static final int[] CHEST = {
            68, 85, 107, 148, 148, 108, 87, 71,
            105, 132, 130, 144, 145, 129, 132, 107,
            117, 143, 114, 140, 145, 114, 141, 116,
            115, 140, 111, 151, 161, 119, 139, 113,
            109, 136, 123, 166, 176, 141, 137, 107,
            103, 138, 141, 176, 186, 160, 139, 101,
            98, 157, 177, 191, 193, 177, 150, 94,
            98, 173, 194, 200, 199, 189, 167, 94};
    /** Of those films one correlates below 0 with their mean; a negative has minus the correlation of its positive. */
    private static final double NEGATIVE = -0.25;
    /** No film whose brightest pixel is this dark shows anything. */
    private static final int DARK = 8;

    private FilmFlags() {}

    static Set<Flag> of(int width, int height, byte[] samples) {
        Set<Flag> flags = EnumSet.noneOf(Flag.class);
        if (width < ImageReader.TINY || height < ImageReader.TINY)
            flags.add(Flag.TINY);
        int max = 0;
        for (byte sample : samples)
            max = Math.max(max, sample & 0xFF);
        if (max < DARK)
            flags.add(Flag.BLACK);
        else if (width >= GRID && height >= GRID && likeness(fields(width, height, samples)) < NEGATIVE)
            flags.add(Flag.INVERTED);
        return flags;
    }

    private static double[] fields(int width, int height, byte[] samples) {
        double[] sum = new double[GRID * GRID];
        int[] count = new int[GRID * GRID];
        for (int y = 0; y < height; y++) {
            int row = (int) ((long) y * GRID / height) * GRID;
            for (int x = 0; x < width; x++) {
                int field = row + (int) ((long) x * GRID / width);
                sum[field] += samples[y * width + x] & 0xFF;
                count[field]++;
            }
        }
        for (int i = 0; i < sum.length; i++)
            sum[i] /= count[i];
        return sum;
    }

    /** Pearson's correlation with the mean chest film; 0 for an even picture. */
    private static double likeness(double[] fields) {
        double meanA = 0;
        double meanB = 0;
        for (int i = 0; i < fields.length; i++) {
            meanA += fields[i] / fields.length;
            meanB += (double) CHEST[i] / fields.length;
        }
        double ab = 0;
        double aa = 0;
        double bb = 0;
        for (int i = 0; i < fields.length; i++) {
            double a = fields[i] - meanA;
            double b = CHEST[i] - meanB;
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        return aa == 0 ? 0 : ab / Math.sqrt(aa * bb);
    }
}
