package isthmus.train;

/**
 * How the scale of the loss follows what half precision can hold (dynamic loss scaling: Micikevicius et al. 2018, arXiv
 * 1710.03740, section 3.2; the rule is torch.amp.GradScaler's). Used with {@link isthmus.backend.Precision#F16} only:
 * bf16 has float32's range.
 *
 * @param initial first scale
 * @param growth factor after {@code growthInterval} good steps in a row
 * @param backoff factor after a step whose gradients are not all finite; that step is skipped
 */
public record LossScaling(double initial, double growth, double backoff, int growthInterval) {
    /** PyTorch's: 65536, doubled after 2000 good steps, halved after a bad one. */
    public static final LossScaling DEFAULT = new LossScaling(65536, 2, 0.5, 2000);

    public LossScaling {
        require(initial >= LossScaler.LEAST && initial <= 0x1p60, "initial", initial, "2^-14 to 2^60");
        require(growth > 1 && growth <= 1024, "growth", growth, "more than 1, at most 1024");
        require(backoff > 0 && backoff < 1, "backoff", backoff, "between 0 and 1");
        require(growthInterval >= 1, "growth_interval", growthInterval, "1 or more");
    }

    private static void require(boolean holds, String what, double value, String allowed) {
        if (!holds)
            throw new IllegalArgumentException("loss scaling: " + what + " is " + value + "; it is " + allowed);
    }
}
