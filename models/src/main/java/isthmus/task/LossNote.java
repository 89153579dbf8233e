package isthmus.task;

import java.util.function.DoubleSupplier;

/** The loss of a running pass, looked at a few times a second: to look makes a GPU wait. */
public final class LossNote {
    private static final long EVERY = 250_000_000L;

    private boolean asked;
    private long when;
    private double last;

    /** The loss as it was a moment ago. */
    public double of(DoubleSupplier loss) {
        long now = System.nanoTime();
        if (asked && now - when < EVERY) return last;
        asked = true;
        when = now;
        last = loss.getAsDouble();
        return last;
    }
}
