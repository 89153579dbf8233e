package isthmus.nn;

/** Counter-based random numbers: splitmix64 (Steele, Lea and Flood 2014) over a key and an index; no state. */
public final class Seeds {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private Seeds() {}

    /** A key for one purpose, from the run's seed and the purpose's name. */
    public static long key(long seed, String purpose) {
        long h = 0xCBF29CE484222325L;
        for (int i = 0; i < purpose.length(); i++)
            h = (h ^ purpose.charAt(i)) * 0x100000001B3L;
        return mix(seed * GOLDEN ^ h);
    }

    /** The {@code i}-th number of a key, uniform in [0, 1) with 24 bits. */
    public static float uniform(long key, long i) {
        return (mix(key + (i + 1) * GOLDEN) >>> 40) * 0x1p-24f;
    }

    /** The {@code i}-th number of a key, standard normal (Box and Muller 1958). */
    public static double normal(long key, long i) {
        double u = 1 - uniform(key, 2 * i);
        return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * uniform(key, 2 * i + 1));
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
