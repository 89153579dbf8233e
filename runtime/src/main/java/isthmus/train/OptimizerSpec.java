package isthmus.train;

/** An optimizer and its constants, as data. The learning rate is the base; a {@link Schedule} scales it. */
public sealed interface OptimizerSpec {
    /** The base learning rate. */
    double learningRate();

    /** The weight decay of parameters that no group says otherwise of. */
    double weightDecay();

    /** torch.optim.SGD: momentum (dampening 0), optional Nesterov, L2 weight decay. */
    record Sgd(double learningRate, double momentum, boolean nesterov, double weightDecay) implements OptimizerSpec {
        public Sgd {
            check(learningRate, weightDecay);
            require(momentum >= 0 && momentum < 1, "momentum", momentum, "0 or more, less than 1");
            if (nesterov && momentum == 0)
                throw new IllegalArgumentException("optimizer: nesterov needs a momentum, such as 0.9");
        }
    }

    /**
     * Adam (Kingma and Ba 2015); decoupled decay makes it AdamW (Loshchilov and Hutter 2019), coupled is torch.optim.Adam's L2.
     */
    record Adam(double learningRate, double beta1, double beta2, double epsilon, double weightDecay, boolean decoupled,
            boolean amsgrad)
            implements
                OptimizerSpec {
        public Adam {
            check(learningRate, weightDecay);
            require(beta1 >= 0 && beta1 < 1, "the first of betas", beta1, "0 or more, less than 1");
            require(beta2 >= 0 && beta2 < 1, "the second of betas", beta2, "0 or more, less than 1");
            require(epsilon > 0 && epsilon <= 1, "epsilon", epsilon, "more than 0, at most 1");
        }
    }

    /** The same with another base learning rate. */
    default OptimizerSpec withLearningRate(double rate) {
        return switch (this) {
            case Sgd s -> new Sgd(rate, s.momentum, s.nesterov, s.weightDecay);
            case Adam a -> new Adam(rate, a.beta1, a.beta2, a.epsilon, a.weightDecay, a.decoupled, a.amsgrad);
        };
    }

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

    private static void check(double learningRate, double weightDecay) {
        require(learningRate > 0 && Double.isFinite(learningRate), "learning_rate", learningRate, "more than 0");
        require(weightDecay >= 0 && Double.isFinite(weightDecay), "weight_decay", weightDecay, "0 or more");
    }

    private static void require(boolean holds, String what, double value, String allowed) {
        if (!holds) throw new IllegalArgumentException("optimizer: " + what + " is " + value + "; it is " + allowed);
    }
}
