package isthmus.data;

/**
 * Random numbers that depend on a place, not on a history: the n-th number of (seed, epoch, item) is a hash of the four
 * (SplitMix64's finaliser, Steele et al. 2014). Whoever asks, in whatever order, gets the same.
 */
final class CounterRandom {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    private long state;

    /** Moves to the first number of an item. */
    void at(long seed, long epoch, long item) {
        state = mix(mix(mix(seed + GOLDEN) ^ epoch * 0xD1B54A32D192ED03L) ^ item * 0xABC98388FB8FAC03L);
    }

    long nextLong() {
        state += GOLDEN;
        return mix(state);
    }

    /** Uniform in [0, 1). */
    double nextDouble() { return (nextLong() >>> 11) * 0x1p-53; }

    /** Uniform in [-bound, bound). */
    double symmetric(double bound) { return (2 * nextDouble() - 1) * bound; }

    /** Uniform in 0 .. bound - 1 (the bias, bound / 2^64, is nothing here). */
    int nextInt(int bound) {
        return (int) Math.unsignedMultiplyHigh(nextLong(), bound);
    }

    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }
}
