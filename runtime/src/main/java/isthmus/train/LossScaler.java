package isthmus.train;

import isthmus.backend.DeviceUpdate;
import java.util.Locale;

/** The scale of the loss as it is now, and how many good steps it has seen. */
final class LossScaler {
    /** Below this scale an overflow is not the scale's fault. */
    static final double LEAST = 0x1p-14;

    private final LossScaling rule;
    private float scale;
    private int good;

    LossScaler(LossScaling rule) {
        this.rule = rule;
        this.scale = (float) rule.initial();
    }

    float scale() { return scale; }

    int goodSteps() { return good; }

    /** Takes up where another scaler was. */
    void resume(float atScale, int afterGood) {
        scale = atScale;
        good = afterGood;
    }

    /** All gradients of a step were finite. */
    void good() {
        if (++good < rule.growthInterval()) return;
        good = 0;
        float grown = (float) (scale * rule.growth());
        if (Float.isFinite(grown)) scale = grown;
    }

    /** A step's gradients overflowed. */
    void bad(long step) {
        good = 0;
        scale = (float) (scale * rule.backoff());
        if (scale < LEAST) throw tooSmall(step);
    }

    /** What to say when the scale has fallen below {@link #LEAST}. */
    TrainingException tooSmall(long step) {
        return new TrainingException(String.format(Locale.ROOT, "gradients are infinite or no numbers at step %d"
                + " even with the loss scaled by %s: training has diverged; lower the learning rate, set a clip"
                + " norm, or use bf16 or fp32", step, scale / rule.backoff()));
    }

    /** The rule for a device that follows it alone. */
    DeviceUpdate.Scaling onDevice() {
        return new DeviceUpdate.Scaling(rule.growth(), rule.backoff(), rule.growthInterval(), LEAST);
    }
}
