package isthmus.backend;

import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/**
 * What makes a forward and backward pass a training step, on a device that needs no help of the host for it: whether all
 * numbers are finite, norm, clipping, the optimizer's pass, the loss's scale, and, where a step does not count, that nothing
 * has changed.
 */
public interface DeviceUpdate {
    /**
     * Neighbouring weights that learn alike.
     *
     * @param offset first element, counted from the first trainable one
     * @param length elements
     */
    record Stretch(long offset, long length, double learningRate, double weightDecay) {}

    /** The optimizer and its constants. */
    sealed interface Method {
        /** SGD with dampening 0; a moment if the momentum is not 0. */
        record Sgd(double momentum, boolean nesterov) implements Method {}

        /** Adam, AdamW (decoupled), AMSGrad (three moments). */
        record Adam(double beta1, double beta2, double epsilon, boolean decoupled) implements Method {}
    }

    /**
     * How the loss's scale follows; see {@code isthmus.train.LossScaling}.
     *
     * @param least below this scale training stops
     */
    record Scaling(double growth, double backoff, int growthInterval, double least) {}

    /**
     * The sum of several batches' gradients, which updates the weights.
     *
     * @param batches of a full sum
     */
    record Sum(WeightBuffer gradients, int batches) {}

    /** An average over time; see {@code isthmus.train.Ema}. */
    record Average(WeightBuffer weights, double decay, boolean warmup) {}

    /**
     * What is to be updated, and how. All memory is the backend's and shared.
     *
     * @param sum where gradients of several batches are added up, if they are
     * @param average of the weights, if one is kept
     * @param compute element type that the weights are computed with; the update writes that copy, too
     * @param moments of all trainable weights, moment after moment; may be empty
     * @param scaling empty unless the loss is scaled: then overflows end the run
     * @param clips whether any step of the course has a clip norm
     * @param course what changes from step to step, float64: factor of the learning rate and clip norm (0: none) of step
     *     {@code first}, of the step after it, and so on
     */
    record Plan(WeightBuffer weights, WeightBuffer gradients, Optional<Sum> sum, Optional<Average> average,
            DType compute, MemorySegment moments,
            List<Stretch> stretches,
            Method method, Optional<Scaling> scaling, boolean clips, StepState state,
            MemorySegment course) {}

    /** What goes around a program's calls. Fit for {@link Backend#repeatable}. */
    record Calls(Runnable before, Runnable after) {}

    /**
     * The calls for a program with these scalars, whose batch of so many samples leaves its mean loss there.
     *
     * @param first whether the batch is the first of a step
     * @param last whether it is the last, which the update follows
     * @param anchor where FedProx pulls the trainable weights to; the null segment for nowhere
     */
    Calls of(StepScalars scalars, MemorySegment loss, int samples, boolean first, boolean last, MemorySegment anchor);

    /** Before every step: brings weights, gradients and moments to the device if the host may have written them. */
    void toDevice();

    /** Waits until the step before the one that was asked for last is done: so the host is never far ahead. */
    void pace();
}
