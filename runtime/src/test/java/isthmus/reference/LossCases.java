package isthmus.reference;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.op.Value;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Loss;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Loss cases: the logits are a trainable parameter, so that their gradient is asked for. */
final class LossCases {
    private static final double TOLERANCE = 1e-5;

    private LossCases() {}

    static Outcome run(Case c, Backend backend) {
        Optional<Loss> loss = loss(c);
        if (loss.isEmpty())
            return Outcome.skipped(c.name(), "fp32", "loss " + c.json().get("loss").asString() + " is not built yet");
        Outcome outcome = new Outcome(c.name(), "fp32");
        Shape shape = Case.shape(c.json().get("shape"));
        Graph graph = new Graph();
        Value logits = graph.parameter("logits", shape, Region.TRAINABLE);
        loss.get().attach(graph, logits);
        // The op's own gradient output is not a node of its own, so a copy carries it to the buffer.
        Gradients.append(graph, Loss.LOSS);
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            WeightBuffer gradients = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            ChannelsLast.pack(c.fill().values(c.name() + "/logits", shape, 3), shape, DType.F32, weights.segment());
            try (Program program = Program.compile(graph, backend, Precision.FP32, weights, gradients)) {
                targets(c, shape, program.input(Loss.LABELS));
                backend.enter();
                program.run();
                backend.toHost(gradients.segment());
                double expected = c.expect().get("loss").asDouble();
                double got = program.output(Loss.LOSS).get(ValueLayout.JAVA_FLOAT, 0);
                outcome.check("loss", Math.abs(got - expected) / Math.abs(expected), TOLERANCE);
                outcome.check("grad", Outcome.relative(ChannelsLast.unpack(gradients.segment(), shape, DType.F32),
                        Case.numbers(c.expect().get("grad"))), TOLERANCE);
            }
        }
        return outcome;
    }

    private static Optional<Loss> loss(Case c) {
        return switch (c.json().get("loss").asString()) {
            case "cross_entropy" -> Optional.of(new Loss.SoftmaxCrossEntropy());
            case "dice_ce" -> Optional.of(new Loss.DiceCrossEntropy(c.attrs().get("smooth").floatValue(),
                    c.attrs().path("include_background").asBoolean(true)));
            case "smooth_l1" -> Optional.of(new Loss.SmoothL1(c.attrs().get("beta").floatValue()));
            case "bce_with_logits" -> Optional.of(new Loss.BinaryCrossEntropy(weights(c)));
            case "focal" -> Optional.of(new Loss.Focal(c.attrs().get("gamma").asDouble(),
                    c.attrs().get("alpha").asDouble(), weights(c)));
            default -> Optional.empty();
        };
    }

    private static List<Float> weights(Case c) {
        List<Float> weights = new ArrayList<>();
        JsonNode given = c.attrs().get("pos_weight");
        if (given != null) for (JsonNode w : given)
            weights.add(w.floatValue());
        return weights;
    }

    private static void targets(Case c, Shape shape, MemorySegment at) {
        String name = c.name() + "/target";
        switch (c.json().get("targets").asString()) {
            case "bits" -> ChannelsLast.pack(c.fill().bits(name, shape), shape, DType.F32, at);
            case "masked" -> {
                float[] t = c.fill().bits(name, shape);
                float[] mask = c.fill().values(c.name() + "/mask", shape, 1);
                for (int i = 0; i < t.length; i++)
                    if (mask[i] > 0.5f) t[i] = -1;
                ChannelsLast.pack(t, shape, DType.F32, at);
            }
            case "classes" -> {
                Shape n = Shape.of(Math.toIntExact(shape.elements() / shape.dim(1)));
                ChannelsLast.pack(c.fill().classes(name, n, shape.dim(1)), n, DType.I32, at);
            }
            case "values" -> ChannelsLast.pack(c.fill().values(name, shape, 3), shape, DType.F32, at);
            default -> throw new IllegalArgumentException(c.name() + ": targets are " + c.json().get("targets"));
        }
    }
}
