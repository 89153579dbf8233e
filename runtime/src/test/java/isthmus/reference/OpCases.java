package isthmus.reference;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.nn.Lora;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.Cast;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.MaxPool;
import isthmus.op.Multiply;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.Spec;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * Op cases: each input of the case is a trainable parameter of a one-op graph, so that its gradient is asked for. Weights
 * and biases keep their logical order; everything else is channels-last in memory.
 */
final class OpCases {
    private static final double TOLERANCE = 1e-5;
    private static final Set<String> ROW_MAJOR = Set.of("weight", "bias", "lora_A", "lora_B");

    private final Case c;
    private final Graph graph = new Graph();
    private final Map<String, Value> in = new LinkedHashMap<>();

    private OpCases(Case c) { this.c = c; }

    static Outcome run(Case c, Backend backend) { return new OpCases(c).run(backend); }

    private Outcome run(Backend backend) {
        for (Map.Entry<String, JsonNode> e : c.json().get("inputs").properties()) {
            Value p = graph.parameter(e.getKey(), Case.shape(e.getValue()), Region.TRAINABLE);
            boolean weight = ROW_MAJOR.contains(e.getKey());
            in.put(e.getKey(), weight ? p : graph.apply(e.getKey(), new Cast(Kind.ACTIVATION), p).getFirst());
        }
        Optional<Value> made = build();
        if (made.isEmpty())
            return Outcome.skipped(c.name(), "fp32", "op " + c.json().get("op").asString() + " is not built yet");
        Value y = made.get();
        Value dy = graph.input("dy", new Spec(y.shape(), Kind.FLOAT));
        graph.output("y", graph.apply("y", new Cast(Kind.FLOAT), y).getFirst());
        Gradients.append(graph, y, graph.apply("dy", new Cast(Kind.ACTIVATION), dy).getFirst());
        return compare(backend, y.shape());
    }

    private Optional<Value> build() {
        return switch (c.json().get("op").asString()) {
            case "conv" -> Optional.of(conv());
            case "linear" -> one(new Linear(true, false), "x", "weight", "bias");
            case "lora" -> Optional.of(lora());
            case "relu" -> one(new Relu(), "x");
            case "silu" -> one(new Silu(), "x");
            case "sigmoid" -> one(new Sigmoid(), "x");
            case "scale" -> one(new Scale(), "x", "s");
            case "concat" -> one(new Concat(), in.keySet().toArray(String[]::new));
            case "add" -> one(new Add(), "a", "b");
            case "max_pool" -> one(new MaxPool(pool()), "x");
            case "avg_pool" -> one(new AvgPool(pool()), "x");
            case "global_avg_pool" -> one(new GlobalAvgPool(), "x");
            case "upsample" -> upsample();
            case "batch_norm" -> batchNorm();
            case "group_norm" -> one(new GroupNorm(c.attrs().get("groups").asInt(), c.attrs().get("eps").floatValue()),
                    "x", "weight", "bias");
            default -> Optional.empty();
        };
    }

    private Optional<Value> one(Op op, String... keys) {
        Value[] arguments = new Value[keys.length];
        for (int i = 0; i < keys.length; i++)
            arguments[i] = in.get(keys[i]);
        return Optional.of(apply(op, arguments));
    }

    private Value conv() {
        int axes = c.attrs().get("spatial").asInt();
        Shape w = in.get("weight").shape();
        List<Integer> kernel = java.util.stream.IntStream.range(2, w.rank()).mapToObj(w::dim).toList();
        Window window = new Window(kernel, c.perAxis("stride", axes), c.perAxis("padding", axes),
                c.perAxis("dilation", axes));
        boolean bias = in.containsKey("bias");
        Op op = new Conv(window, c.attrs().get("groups").asInt(), bias);
        return bias ? one(op, "x", "weight", "bias").get() : one(op, "x", "weight").get();
    }

    /** As a scope builds an adapted linear layer, but with the base trained too: the case asks for its gradients. */
    private Value lora() {
        Value base = one(new Linear(true, false), "x", "weight", "bias").get();
        float scale = new Lora(c.attrs().get("rank").asInt(), c.attrs().get("alpha").asDouble(), List.of("*")).scale();
        Value low = apply(new Multiply(scale), one(new Linear(false, false), "x", "lora_A").get());
        return apply(new Add(), base, apply(new Linear(false, false), low, in.get("lora_B")));
    }

    private Value apply(Op op, Value... arguments) { return graph.apply(c.name(), op, arguments).getFirst(); }

    private Window pool() {
        int axes = in.get("x").shape().rank() - 2;
        return new Window(c.perAxis("kernel", axes), c.perAxis("stride", axes), c.perAxis("padding", axes),
                java.util.Collections.nCopies(axes, 1));
    }

    private Optional<Value> upsample() {
        Shape x = in.get("x").shape();
        List<Integer> scale = c.perAxis("scale", x.rank() - 2);
        List<Integer> size = java.util.stream.IntStream.range(0, scale.size())
                .mapToObj(i -> scale.get(i) * x.dim(2 + i)).toList();
        boolean linear = c.attrs().get("mode").asString().equals("linear");
        return one(new Upsample(size, linear ? Upsample.Mode.LINEAR : Upsample.Mode.NEAREST), "x");
    }

    private Optional<Value> batchNorm() {
        List<Value> s = graph.apply(c.name(), new ChannelStatistics(), in.get("x"));
        float eps = c.attrs().get("eps").floatValue();
        return Optional.of(graph
                .apply(c.name(), new Normalize(eps), in.get("x"), s.get(0), s.get(1), in.get("weight"),
                        in.get("bias"))
                .getFirst());
    }

    private Outcome compare(Backend backend, Shape y) {
        Outcome outcome = new Outcome(c.name(), "fp32");
        try (Arena arena = Arena.ofConfined()) {
            WeightTable table = graph.table();
            WeightBuffer weights = new WeightBuffer(table, backend.allocate(table.bytes(), arena));
            WeightBuffer gradients = new WeightBuffer(table, backend.allocate(table.bytes(), arena));
            for (WeightTable.Entry e : table.entries()) {
                JsonNode scale = c.json().get("scales").get(e.name());
                float[] v = c.fill().values(c.name() + "/" + e.name(), e.shape(),
                        scale == null ? 1 : scale.floatValue());
                put(e, v, weights.slice(e));
            }
            try (Program program = Program.compile(graph, backend, Precision.FP32, weights, gradients)) {
                ChannelsLast.pack(c.fill().values(c.name() + "/dy", y, 1), y, DType.F32, program.input("dy"));
                backend.enter();
                program.run();
                backend.toHost(gradients.segment());
                float[] got = ChannelsLast.unpack(program.output("y"), y, DType.F32);
                outcome.check("y", Outcome.relative(got, Case.numbers(c.expect().get("y"))), TOLERANCE);
                for (WeightTable.Entry e : table.entries()) {
                    JsonNode expected = c.expect().get("grad." + e.name());
                    float[] grad = get(e, gradients.slice(e));
                    outcome.check("grad." + e.name(), Outcome.relative(grad, Case.numbers(expected)), TOLERANCE);
                }
            }
        }
        return outcome;
    }

    private static void put(WeightTable.Entry e, float[] v, MemorySegment at) {
        if (ROW_MAJOR.contains(e.name()))
            MemorySegment.copy(v, 0, at, java.lang.foreign.ValueLayout.JAVA_FLOAT, 0, v.length);
        else
            ChannelsLast.pack(v, e.shape(), DType.F32, at);
    }

    private static float[] get(WeightTable.Entry e, MemorySegment at) {
        return ROW_MAJOR.contains(e.name())
                ? at.toArray(java.lang.foreign.ValueLayout.JAVA_FLOAT)
                : ChannelsLast.unpack(at, e.shape(), DType.F32);
    }
}
