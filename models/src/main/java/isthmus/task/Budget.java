package isthmus.task;

import java.util.function.LongSupplier;

/** A window of time for training, less what the end of it takes. */
final class Budget {
    private static final double NANOS_A_MINUTE = 60e9;

    private final LongSupplier clock;
    private final long begin;
    private final double nanos;
    private long reserve;

    /**
     * Begins now.
     *
     * @param minutes 0 for no end
     * @param clock nanoseconds
     */
    Budget(double minutes, LongSupplier clock) {
        this.clock = clock;
        this.begin = clock.getAsLong();
        this.nanos = minutes == 0 ? Double.POSITIVE_INFINITY : minutes * NANOS_A_MINUTE;
    }

    /** What will take so long must still fit in: measuring and writing the model. */
    void reserve(long time) {
        reserve = Math.max(reserve, time);
    }

    /** Whether training has to end now. */
    boolean isSpent() { return clock.getAsLong() - begin + reserve >= nanos; }
}
