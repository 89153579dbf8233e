package isthmus.train;

/** An optimizer and its constants, as data. The learning rate is the base; a {@link Schedule} scales it. */
public sealed interface OptimizerSpec {
    /** The base learning rate. */
    double learningRate();

    /** torch.optim.SGD: momentum (dampening 0), optional Nesterov, L2 weight decay. */
    record Sgd(double learningRate, double momentum, boolean nesterov, double weightDecay) implements OptimizerSpec {}

    /**
     * Adam (Kingma and Ba 2015); decoupled decay makes it AdamW (Loshchilov and Hutter 2019), coupled is torch.optim.Adam's L2.
     */
    record Adam(double learningRate, double beta1, double beta2, double epsilon, double weightDecay, boolean decoupled,
            boolean amsgrad)
            implements
                OptimizerSpec {}

    /** SGD with momentum 0.9. */
    static OptimizerSpec sgd(double learningRate) {
        return new Sgd(learningRate, 0.9, false, 0);
    }

    /** Adam with PyTorch's defaults. */
    static OptimizerSpec adam(double learningRate) {
        return new Adam(learningRate, 0.9, 0.999, 1e-8, 0, false, false);
    }

    /** AdamW with PyTorch's defaults but the given decay. */
    static OptimizerSpec adamw(double learningRate, double weightDecay) {
        return new Adam(learningRate, 0.9, 0.999, 1e-8, weightDecay, true, false);
    }
}
