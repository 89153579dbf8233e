package isthmus.train;

import isthmus.nn.NamePattern;
import java.util.OptionalDouble;

/**
 * Parameters that learn at their own pace. Of a list of groups the first whose pattern fits a parameter decides; what no
 * group chooses learns as the optimizer says. To leave weights as they are, freeze them ({@link isthmus.nn.Adaptation}).
 *
 * @param pattern {@linkplain NamePattern which parameters}, such as {@code fc} or {@code *.bias}
 * @param learningRateFactor on the learning rate of every step; more than 0
 * @param weightDecay instead of the optimizer's
 */
public record ParameterGroup(String pattern, double learningRateFactor, OptionalDouble weightDecay) {
    public ParameterGroup {
        new NamePattern(pattern);
        if (!(learningRateFactor > 0 && Double.isFinite(learningRateFactor)))
            throw new IllegalArgumentException("parameter group '" + pattern + "': the learning-rate factor is "
                    + learningRateFactor + "; it is more than 0 (to leave weights as they are, freeze them)");
        if (weightDecay.isPresent() && !(weightDecay.getAsDouble() >= 0))
            throw new IllegalArgumentException("parameter group '" + pattern + "': the weight decay is "
                    + weightDecay.getAsDouble() + "; it is 0 or more");
    }

    /** A group that differs in its learning rate only. */
    public static ParameterGroup of(String pattern, double learningRateFactor) {
        return new ParameterGroup(pattern, learningRateFactor, OptionalDouble.empty());
    }
}
