package isthmus.train;

/**
 * Exponential moving average of weights and running statistics: after every step
 * {@code average = decay * average + (1 - decay) * weights}, beginning with the weights before the first step.
 *
 * @param decay in [0, 1); 0 keeps no average
 * @param warmup whether early steps count more: the decay of step t (from 1) is at most {@code (1 + t) / (10 + t)}, so a
 *        short training does not remember its beginning
 */
public record Ema(double decay, boolean warmup) {
    /** No average. */
    public static final Ema OFF = new Ema(0, false);

    public Ema {
        if (!(decay >= 0 && decay < 1))
            throw new IllegalArgumentException("ema: the decay is " + decay + "; it is 0 (off) or more, less than 1");
    }

    /** Whether an average is kept. */
    public boolean isOn() { return decay > 0; }

    /** The decay of step {@code t}, counted from 1. */
    double decay(long t) {
        return warmup ? Math.min(decay, (1.0 + t) / (10.0 + t)) : decay;
    }
}
