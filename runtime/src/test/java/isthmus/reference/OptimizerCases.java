package isthmus.reference;

import isthmus.backend.Backend;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.train.OptimizerDoor;
import isthmus.train.OptimizerSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import tools.jackson.databind.JsonNode;

/** Optimizer cases: a parameter of 40 numbers, a new gradient each step. */
final class OptimizerCases {
    private static final double TOLERANCE = 1e-5;

    private OptimizerCases() {}

    static Outcome run(Case c, Backend backend) {
        Outcome outcome = new Outcome(c.name(), "fp32");
        Shape shape = Shape.of(c.json().get("size").asInt());
        try (Arena arena = Arena.ofConfined()) {
            WeightTable table = WeightTable.builder().add("param", shape, Region.TRAINABLE).build();
            WeightBuffer weights = new WeightBuffer(table, backend.allocate(table.bytes(), arena));
            WeightBuffer gradients = new WeightBuffer(table, backend.allocate(table.bytes(), arena));
            put(c.fill().values(c.name() + "/param", shape, 1), weights);
            OptimizerDoor optimizer = new OptimizerDoor(spec(c), weights, gradients, backend, arena);
            JsonNode clip = c.json().get("clip_norm");
            JsonNode steps = c.expect().get("params_after_step");
            for (int s = 0; s < steps.size(); s++) {
                backend.toHost(gradients.segment());
                put(c.fill().values(c.name() + "/grad/" + s, shape, c.json().get("grad_scale").floatValue()),
                        gradients);
                optimizer.step(clip.isNull() ? 0 : clip.asDouble());
                backend.toHost(weights.segment());
                outcome.check("step " + s,
                        Outcome.relative(weights.segment().toArray(ValueLayout.JAVA_FLOAT), Case.numbers(steps.get(s))),
                        TOLERANCE);
            }
        }
        return outcome;
    }

    private static void put(float[] v, WeightBuffer into) {
        MemorySegment.copy(v, 0, into.segment(), ValueLayout.JAVA_FLOAT, 0, v.length);
    }

    private static OptimizerSpec spec(Case c) {
        double lr = number(c, "lr");
        double decay = number(c, "weight_decay");
        String name = c.json().get("optimizer").asString();
        return switch (name) {
            case "sgd" -> new OptimizerSpec.Sgd(lr, number(c, "momentum"), flag(c, "nesterov"), decay);
            case "adam", "adamw" ->
                new OptimizerSpec.Adam(lr, 0.9, 0.999, 1e-8, decay, name.equals("adamw"), flag(c, "amsgrad"));
            default -> throw new IllegalArgumentException(c.name() + ": optimizer " + name);
        };
    }

    private static double number(Case c, String key) {
        JsonNode v = c.attrs().get(key);
        return v == null ? 0 : v.asDouble();
    }

    private static boolean flag(Case c, String key) {
        JsonNode v = c.attrs().get(key);
        return v != null && v.asBoolean();
    }
}
