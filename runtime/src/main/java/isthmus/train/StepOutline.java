package isthmus.train;

import isthmus.backend.Backend;
import isthmus.graph.Call;
import isthmus.graph.Outline;
import isthmus.nn.Model;
import java.util.List;

/**
 * What a training step would be, without any of its memory: nothing is allocated but the kernels' own objects.
 *
 * @param arenaBytes activations and scratch
 * @param weightBytes weights, gradients and the optimizer's moments
 * @param updateBytes least traffic of an update
 * @param calls forward and backward in running order; the update comes after
 */
public record StepOutline(long arenaBytes, long weightBytes, long updateBytes, List<Call> calls) {
    /** The step that {@link Trainer} would compile for these options. */
    public static StepOutline of(Model model, Trainer.Options options, Backend backend) {
        Outline step = Outline.of(MicroStep.graph(model, options, options.batch(), backend), backend,
                options.precision());
        var optimizer = options.update().optimizer();
        long moments = Optimizer.stateTable(optimizer, model.table()).bytes();
        return new StepOutline(step.arenaBytes(), 2 * model.table().bytes() + moments,
                Optimizer.traffic(optimizer, model.table()), step.calls());
    }
}
