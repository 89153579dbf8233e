package isthmus.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import com.google.protobuf.ByteString;
import isthmus.op.Node;
import isthmus.op.OnnxEmitter;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** The nodes of an ONNX graph while they are collected, and the names of their results. */
final class OnnxNodes implements OnnxEmitter {
    private static final String IDENTITY = "Identity";

    private final List<NodeProto.Builder> nodes = new ArrayList<>();
    private final Map<Integer, String> nameById = new HashMap<>();
    private final Set<String> taken = new HashSet<>();
    private final Set<String> used = new HashSet<>();
    private final Set<String> outputs = new HashSet<>();
    private Node current;

    /** Reserves a name that the file gives away itself: of an input, a weight or an output. */
    void reserve(String name) {
        if (!taken.add(name)) throw new OnnxException("onnx: the name " + name + " is given twice; rename one");
    }

    /** Says what an input or a weight is called. */
    void name(Value v, String name) { nameById.put(v.id(), name); }

    /** Writes one op in its own form. */
    void add(Node node) {
        current = node;
        try {
            node.op().onnx(this);
        } catch (UnsupportedOperationException e) {
            throw new OnnxException("onnx: " + node.label() + ": " + e.getMessage()
                    + "; export the model's evaluation graph", e);
        }
    }

    @Override
    public Node node() { return current; }

    @Override
    public String input(int i) { return nameOf(current.in(i)); }

    private String nameOf(Value v) {
        String name = nameById.get(v.id());
        if (name == null)
            throw new OnnxException("onnx: " + (current == null ? "output" : current.label()) + " reads " + v
                    + ", which has no ONNX name: only an op's first result has one");
        used.add(name);
        return name;
    }

    @Override
    public void emit(String type, Map<String, Object> attributes, String... inputs) {
        Value out = current.out(0);
        nameById.put(out.id(),
                type.equals(IDENTITY) ? inputs[0] : append(current.op().name(), type, attributes, inputs));
    }

    @Override
    public String step(String type, Map<String, Object> attributes, String... inputs) {
        return append(type, type, attributes, inputs);
    }

    private String append(String what, String type, Map<String, Object> attributes, String... inputs) {
        String wanted = current.label().isEmpty() ? what : current.label() + "/" + what;
        String name = wanted;
        for (int i = 2; !taken.add(name); i++)
            name = wanted + "_" + i;
        append(name, type, attributes, List.of(inputs));
        return name;
    }

    private void append(String name, String type, Map<String, Object> attributes, List<String> inputs) {
        NodeProto.Builder node = NodeProto.newBuilder().setName(name).setOpType(type).addAllInput(inputs)
                .addOutput(name);
        new TreeMap<>(attributes).forEach((key, value) -> node.addAttribute(attribute(key, value)));
        nodes.add(node);
    }

    private static AttributeProto attribute(String name, Object value) {
        AttributeProto.Builder a = AttributeProto.newBuilder().setName(name);
        switch (value) {
            case Long v -> a.setType(AttributeProto.AttributeType.INT).setI(v);
            case Float v -> a.setType(AttributeProto.AttributeType.FLOAT).setF(v);
            case String v -> a.setType(AttributeProto.AttributeType.STRING).setS(ByteString.copyFromUtf8(v));
            case long[] v -> {
                a.setType(AttributeProto.AttributeType.INTS);
                for (long i : v)
                    a.addInts(i);
            }
            case float[] v -> {
                a.setType(AttributeProto.AttributeType.FLOATS);
                for (float f : v)
                    a.addFloats(f);
            }
            default -> throw new OnnxException("onnx: attribute " + name + " is a " + value.getClass().getSimpleName());
        }
        return a.build();
    }

    /** Makes a value an output: the result takes the output's name, or is copied where it has to keep its own. */
    void output(String name, Value v) {
        current = null;
        String source = nameOf(v);
        boolean own = nodes.stream().anyMatch(n -> n.getOutput(0).equals(source)) && !outputs.contains(source);
        reserve(name);
        if (own) rename(source, name);
        else
            append(name, IDENTITY, Map.of(), List.of(source));
        outputs.add(name);
    }

    private void rename(String from, String to) {
        for (NodeProto.Builder n : nodes) {
            if (n.getOutput(0).equals(from)) n.setName(to).setOutput(0, to);
            for (int i = 0; i < n.getInputCount(); i++)
                if (n.getInput(i).equals(from)) n.setInput(i, to);
        }
        nameById.replaceAll((id, name) -> name.equals(from) ? to : name);
    }

    /** A node that makes an output of another one. */
    void derive(String output, String type, Map<String, Object> attributes, String input) {
        reserve(output);
        append(output, type, attributes, List.of(input));
        outputs.add(output);
    }

    /** Whether some node reads this name. */
    boolean isUsed(String name) { return used.contains(name); }

    /** All nodes in running order. */
    List<NodeProto> build() {
        return nodes.stream().map(NodeProto.Builder::build).toList();
    }
}
