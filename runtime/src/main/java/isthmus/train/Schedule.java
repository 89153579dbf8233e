package isthmus.train;

/**
 * The factor on the base learning rate before each step: linear warm-up {@code (step + 1) / w} over the first
 * {@code w = total * warmupFraction} steps, then a half cosine from 1 to {@code minFactor}.
 */
public record Schedule(double warmupFraction, double minFactor) {
    /** Always 1. */
    public static final Schedule CONSTANT = new Schedule(0, 1);

    public Schedule {
        if (!(warmupFraction >= 0 && warmupFraction <= 1 && minFactor >= 0 && minFactor <= 1)) {
            throw new IllegalArgumentException(
                    "schedule: warm-up fraction " + warmupFraction + " and least factor " + minFactor
                            + " must lie in 0 to 1");
        }
    }

    /** The factor before step {@code step} (from 0) of {@code total}. */
    public double factor(long step, long total) {
        long warm = (long) (total * warmupFraction);
        if (step < warm) return (step + 1) / (double) warm;
        double done = (step - warm) / (double) Math.max(1, total - warm);
        return minFactor + (1 - minFactor) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, done)));
    }
}
