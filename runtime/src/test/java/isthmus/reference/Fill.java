package isthmus.reference;

import isthmus.tensor.Shape;

/** The formula that makes every number of a reference case; see the README beside the cases. */
public final class Fill {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final String salt;

    /** The formula with this salt. */
    public Fill(String salt) { this.salt = salt; }

    /** FNV-1a 64 of salt and name. */
    long hash(String name) {
        long h = 0xCBF29CE484222325L;
        for (byte b : (salt + name).getBytes(java.nio.charset.StandardCharsets.UTF_8))
            h = (h ^ (b & 255)) * 0x100000001B3L;
        return h;
    }

    /** Values in [-scale, scale), row-major. */
    public float[] values(String name, Shape shape, float scale) {
        float[] v = new float[Math.toIntExact(shape.elements())];
        long h = hash(name);
        for (int i = 0; i < v.length; i++) {
            long z = h + (i + 1) * GOLDEN;
            z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
            z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
            z = z ^ (z >>> 31);
            double u = (z >>> 40) / (double) (1 << 24);
            v[i] = (float) (2 * u - 1) * scale;
        }
        return v;
    }

    /** 1 where the formula is positive, else 0. */
    float[] bits(String name, Shape shape) {
        float[] v = values(name, shape, 1);
        for (int i = 0; i < v.length; i++)
            v[i] = v[i] > 0 ? 1 : 0;
        return v;
    }

    /** Class numbers; the shape is without the channel axis. */
    float[] classes(String name, Shape shape, int classes) {
        float[] v = values(name, shape, 1);
        for (int i = 0; i < v.length; i++)
            v[i] = (float) Math.floor(((double) v[i] + 1) / 2 * classes);
        return v;
    }
}
