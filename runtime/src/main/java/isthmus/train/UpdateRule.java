package isthmus.train;

import isthmus.tensor.WeightTable;
import java.util.List;

/**
 * How gradients change weights, as data.
 *
 * @param groups parameters that learn at their own pace; may be empty
 * @param clip longest gradient
 * @param lossScaling for half precision
 * @param ema average of the weights
 */
public record UpdateRule(OptimizerSpec optimizer, List<ParameterGroup> groups, Schedule schedule, Clip clip,
        LossScaling lossScaling, Ema ema) {
    public UpdateRule {
        groups = List.copyOf(groups);
    }

    /** An optimizer alone: constant learning rate, no clipping, no average. */
    public static UpdateRule of(OptimizerSpec optimizer) {
        return new UpdateRule(optimizer, List.of(), Schedule.CONSTANT, Clip.NONE, LossScaling.DEFAULT, Ema.OFF);
    }

    /** Throws if a group's pattern fits no parameter of a model with this table. */
    public void check(WeightTable table) {
        Stretch.of(table, groups, optimizer.weightDecay());
    }

    /** The same with parameter groups. */
    public UpdateRule with(List<ParameterGroup> others) {
        return new UpdateRule(optimizer, others, schedule, clip, lossScaling, ema);
    }

    /** The same with another optimizer. */
    public UpdateRule with(OptimizerSpec other) {
        return new UpdateRule(other, groups, schedule, clip, lossScaling, ema);
    }

    /** The same with another schedule. */
    public UpdateRule with(Schedule other) {
        return new UpdateRule(optimizer, groups, other, clip, lossScaling, ema);
    }

    /** The same with another limit of gradients. */
    public UpdateRule with(Clip other) {
        return new UpdateRule(optimizer, groups, schedule, other, lossScaling, ema);
    }

    /** The same with another rule for the loss's scale. */
    public UpdateRule with(LossScaling other) {
        return new UpdateRule(optimizer, groups, schedule, clip, other, ema);
    }

    /** The same with another average. */
    public UpdateRule with(Ema other) {
        return new UpdateRule(optimizer, groups, schedule, clip, lossScaling, other);
    }
}
