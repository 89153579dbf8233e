package isthmus.task;

/** Follows the key metric, of which more is better: what is best, and whether it has stalled. */
final class Gains {
    private final Recipe.EarlyStop rule;
    private double best = Double.NEGATIVE_INFINITY;
    private double reference = Double.NEGATIVE_INFINITY;
    private int bestEpoch;
    private int without;

    Gains(Recipe.EarlyStop rule) { this.rule = rule; }

    /** Notes an epoch's value; whether it is the best so far. */
    boolean note(int epoch, double value) {
        if (value > reference + rule.minDelta()) {
            reference = value;
            without = 0;
        } else
            without++;
        if (!(value > best)) return false;
        best = value;
        bestEpoch = epoch;
        return true;
    }

    /** The best one's epoch; 0 before the first. */
    int bestEpoch() { return bestEpoch; }

    /** Whether there were so many epochs without gain that training ends. */
    boolean isStalled() {
        return rule.patience() > 0 && without >= rule.patience();
    }
}
