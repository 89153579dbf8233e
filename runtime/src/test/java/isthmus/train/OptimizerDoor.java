package isthmus.train;

import isthmus.backend.Backend;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.util.List;

/** Lets tests of other packages drive an optimizer alone. */
public final class OptimizerDoor {
    private final Optimizer optimizer;

    public OptimizerDoor(OptimizerSpec spec, WeightBuffer weights, WeightBuffer gradients, Backend backend,
            Arena arena) {
        optimizer = new Optimizer(spec, List.of(), weights, gradients, backend, arena);
    }

    public void step(double clipNorm) { optimizer.step(1, clipNorm, 1, false); }
}
