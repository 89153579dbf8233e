package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.graph.MemoryException;
import isthmus.graph.Program;
import isthmus.graph.Rewrites;
import isthmus.graph.Workspace;
import isthmus.nn.Model;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Loss and gradients of one batch of fixed size, compiled, with its inputs and its loss.
 */
record MicroStep(Program program, int batch, MemorySegment images, MemorySegment labels, MemorySegment loss)
        implements
            AutoCloseable {

    /**
     * Compiles the step, or refuses with the largest batch that fits.
     *
     * @param besides bytes that are taken beside the program's own
     */
    static MicroStep compile(Model model, Trainer.Options options, int batch, Backend backend, WeightBuffer weights,
            WeightBuffer gradients, Workspace workspace, long besides) {
        try {
            Program program = Program.compile(graph(model, options, batch, backend), backend, options.precision(),
                    weights, gradients, workspace, besides);
            program.scalars().seed(options.seed());
            return new MicroStep(program, batch, program.input(Model.IMAGE), program.input(Loss.LABELS),
                    program.output(Loss.LOSS));
        } catch (MemoryException e) {
            var limit = new BatchLimit(n -> besides
                    + Program.neededBytes(graph(model, options, n, backend), backend, options.precision()), e.free());
            throw limit.refusal("model " + model.name(), batch, e.needed());
        }
    }

    /** Forward, loss and backward of a batch. */
    static Graph graph(Model model, Trainer.Options options, int batch, Backend backend) {
        Rewrites rewrites = Rewrites.chosen();
        Graph graph = model.graph(batch, true);
        options.loss().attach(graph, graph.outputs().get(Model.LOGITS));
        graph = rewrites.beforeGradients(graph);
        Gradients.append(graph, Loss.LOSS, options.precision() == Precision.F16);
        return rewrites.afterGradients(graph, backend, options.precision());
    }

    /** Computes what the batch in {@link #images} and {@link #labels} gives. */
    void run(long number, float lossScale) {
        program.scalars().step(number);
        program.scalars().lossScale(lossScale);
        program.run();
    }

    /** The loss of the last run. */
    double value() {
        program.fetch(loss);
        return loss.get(ValueLayout.JAVA_FLOAT, 0);
    }

    /** Takes over the first samples of a larger batch, which may lie in the same workspace. */
    void take(MemorySegment otherImages, MemorySegment otherLabels) {
        try (Arena arena = Arena.ofConfined()) {
            // The images' new place may be the labels' old one.
            MemorySegment kept = arena.allocate(labels.byteSize()).copyFrom(otherLabels.asSlice(0, labels.byteSize()));
            MemorySegment.copy(otherImages, 0, images, 0, images.byteSize());
            labels.copyFrom(kept);
        }
    }

    @Override
    public void close() { program.close(); }
}
