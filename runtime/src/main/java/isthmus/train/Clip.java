package isthmus.train;

import java.util.List;

/**
 * Longest gradient (L2 over all trainable weights) by the progress of training: each phase holds until its share of all
 * steps is done. A longer gradient is scaled down, as torch.nn.utils.clip_grad_norm_.
 */
public record Clip(List<Phase> phases) {
    /**
     * One phase.
     *
     * @param untilFraction share of all steps at which it ends, in (0, 1]
     * @param norm longest gradient; 0 for no limit
     */
    public record Phase(double untilFraction, double norm) {
        public Phase {
            if (!(untilFraction > 0 && untilFraction <= 1))
                throw new IllegalArgumentException(
                        "clip: a phase ends at " + untilFraction + " of all steps; it is more than 0 and at most 1");
            if (!(norm >= 0 && Double.isFinite(norm)))
                throw new IllegalArgumentException("clip: the norm is " + norm + "; it is 0 (no limit) or more");
        }
    }

    /** No limit. */
    public static final Clip NONE = norm(0);

    public Clip {
        phases = List.copyOf(phases);
        double before = 0;
        for (Phase p : phases) {
            if (p.untilFraction <= before)
                throw new IllegalArgumentException(
                        "clip: a phase until " + p.untilFraction + " follows one until " + before
                                + "; each ends later than the one before");
            before = p.untilFraction;
        }
        if (before != 1)
            throw new IllegalArgumentException("clip: the last phase ends at " + before + "; it ends at 1");
    }

    /** One limit from beginning to end; 0 for none. */
    public static Clip norm(double norm) {
        return new Clip(List.of(new Phase(1, norm)));
    }

    /** Whether there is a limit at any time. */
    public boolean isOn() {
        return phases.stream().anyMatch(p -> p.norm > 0);
    }

    /** The limit at step {@code step} (from 0) of {@code total}; what comes after the end is as the end. */
    public double at(long step, long total) {
        int last = phases.size() - 1;
        for (int i = 0; i < last; i++) {
            Phase p = phases.get(i);
            if (step < (long) (total * p.untilFraction)) return p.norm;
        }
        return phases.get(last).norm;
    }
}
