package isthmus.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A float32 graph in half precision: weights and computing in float16, inputs and outputs in float32 as before. Where sums of
 * squares or exponentials would leave float16's range or resolution, float32 stays: normalisations, softmax, the layer that
 * makes an output and what is derived from it. Batch norms are gone before ({@link BatchNormFold}).
 */
final class HalfGraph {
    private static final int F32 = TensorProto.DataType.FLOAT_VALUE;
    private static final int F16 = TensorProto.DataType.FLOAT16_VALUE;
    /** Whole numbers and truth values, which are left alone. */
    private static final int OTHER = TensorProto.DataType.INT64_VALUE;

    private static final Set<String> IN_FLOAT32 = Set.of("InstanceNormalization", "LayerNormalization",
            "BatchNormalization", "Softmax", "LogSoftmax", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Exp", "Log");

    private final GraphProto source;
    private final HalfWeights weights;
    private final Map<String, TensorProto> initialisers = new LinkedHashMap<>();
    private final Map<String, Integer> types = new HashMap<>();
    private final Map<String, String> casts = new HashMap<>();
    private final Set<String> outputs = new HashSet<>();
    private final List<NodeProto> nodes = new ArrayList<>();

    HalfGraph(GraphProto source, HalfWeights weights) {
        this.source = source;
        this.weights = weights;
        source.getInitializerList().forEach(t -> initialisers.put(t.getName(), t));
        source.getOutputList().forEach(o -> outputs.add(o.getName()));
    }

    GraphProto build() {
        for (ValueInfoProto in : source.getInputList())
            types.put(in.getName(), F32);
        initialisers.keySet().forEach(name -> types.put(name, F32));
        for (NodeProto n : source.getNodeList())
            add(n);
        GraphProto.Builder g = source.toBuilder().clearNode().clearInitializer().addAllNode(nodes);
        initialisers.values().forEach(g::addInitializer);
        return g.build();
    }

    private void add(NodeProto n) {
        if (n.getInputCount() == 0) {
            nodes.add(n);
            types.put(n.getOutput(0), constant(n));
            return;
        }
        boolean whole = type(n.getInput(0)) == OTHER;
        boolean single = IN_FLOAT32.contains(n.getOpType()) || n.getOutputList().stream().anyMatch(outputs::contains);
        int wanted = single ? F32 : F16;
        NodeProto.Builder b = n.toBuilder();
        for (int i = 0; i < n.getInputCount(); i++)
            if (type(n.getInput(i)) != OTHER && isData(n, i)) b.setInput(i, as(wanted, n.getInput(i)));
        nodes.add(b.build());
        boolean measures = n.getOpType().equals("Shape");
        for (String out : n.getOutputList())
            types.put(out, whole || measures ? OTHER : wanted);
    }

    private int type(String name) { return name.isEmpty() ? OTHER : types.get(name); }

    private static int constant(NodeProto n) {
        for (AttributeProto a : n.getAttributeList())
            if (a.getName().equals("value_float") || a.getName().equals("value_floats")) return F32;
        return OTHER;
    }

    /** Resize takes regions and scales in float32 whatever it resizes. */
    private static boolean isData(NodeProto n, int input) {
        return input == 0 || !n.getOpType().equals("Resize");
    }

    /** The name under which a value is had in that type: a weight is converted once and for all, the rest by a node. */
    private String as(int type, String name) {
        if (types.get(name) == type) return name;
        String known = casts.get(name);
        if (known != null) return known;
        TensorProto weight = initialisers.get(name);
        if (weight != null && type == F16 && !readInFloat32(name)) {
            initialisers.put(name, weights.half(weight));
            types.put(name, F16);
            return name;
        }
        String cast = name + (type == F16 ? "/half" : "/single");
        nodes.add(NodeProto.newBuilder().setName(cast).setOpType("Cast").addInput(name).addOutput(cast)
                .addAttribute(AttributeProto.newBuilder().setName("to").setType(AttributeProto.AttributeType.INT)
                        .setI(type))
                .build());
        casts.put(name, cast);
        types.put(cast, type);
        return cast;
    }

    /** Whether some node that stays in float32 reads a weight, too. */
    private boolean readInFloat32(String weight) {
        return source.getNodeList().stream().anyMatch(n -> n.getInputList().contains(weight)
                && (IN_FLOAT32.contains(n.getOpType()) || n.getOutputList().stream().anyMatch(outputs::contains)));
    }
}
