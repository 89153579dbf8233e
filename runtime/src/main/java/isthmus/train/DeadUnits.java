package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.nn.Model;
import isthmus.op.Cast;
import isthmus.op.Kind;
import isthmus.op.Node;
import isthmus.op.Relu;
import isthmus.op.Value;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Counts the units (channels or features) of every ReLU that are zero for all samples and positions of one batch. */
final class DeadUnits {
    private DeadUnits() {}

    /**
     * Runs the training graph's forward pass on a copy of the weights.
     *
     * @param images as {@link Trainer#images()} has them
     */
    static List<Diagnosis.Rectifier> count(Model model, WeightBuffer weights, MemorySegment images, int batch,
            Precision precision, Backend backend) {
        Graph graph = model.graph(batch, true);
        Map<Integer, Node> makers = new HashMap<>();
        Map<String, Node> relus = new java.util.LinkedHashMap<>();
        for (Node n : List.copyOf(graph.nodes())) {
            n.outputs().forEach(v -> makers.put(v.id(), n));
            if (!(n.op() instanceof Relu)) continue;
            String name = "relu " + relus.size();
            relus.put(name, n);
            graph.output(name, graph.apply(name, new Cast(Kind.FLOAT), n.out(0)).getFirst());
        }
        List<Diagnosis.Rectifier> all = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            // Batch norm moves its running statistics: not those of the network under examination.
            WeightBuffer copy = WeightBuffer.allocate(model.table(), arena);
            copy.copyFrom(weights);
            try (Program program = Program.compile(graph, backend, precision, copy, null)) {
                program.input(Model.IMAGE).copyFrom(images);
                program.run();
                relus.forEach((name, n) -> all.add(new Diagnosis.Rectifier(place(makers.get(n.in(0).id())),
                        n.out(0).shape().dim(1), dead(program.output(name), n.out(0)))));
            }
        }
        return List.copyOf(all);
    }

    private static String place(Node maker) { return maker.label().isEmpty() ? maker.op().name() : maker.label(); }

    private static int dead(MemorySegment memory, Value y) {
        Shape shape = y.shape();
        float[] values = ChannelsLast.unpack(memory, shape, DType.F32);
        int channels = shape.dim(1);
        int space = (int) shape.elementsFrom(2);
        boolean[] alive = new boolean[channels];
        for (int i = 0; i < values.length; i++)
            alive[i / space % channels] |= values[i] != 0;
        int dead = 0;
        for (boolean a : alive)
            if (!a) dead++;
        return dead;
    }
}
