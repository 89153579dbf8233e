package isthmus.train;

import isthmus.backend.Backend;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;

/** Lets tests of other packages drive an optimizer alone. */
public final class OptimizerDoor {
    private final Optimizer optimizer;

    public OptimizerDoor(OptimizerSpec spec, WeightBuffer weights, WeightBuffer gradients, Backend backend,
            Arena arena) {
        optimizer = new Optimizer(spec, weights, gradients, backend, arena);
    }

    public void step(double clipNorm) { optimizer.step(1, clipNorm); }
}
