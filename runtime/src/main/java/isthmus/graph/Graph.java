package isthmus.graph;

import isthmus.op.Node;
import isthmus.op.Op;
import isthmus.op.ShapeException;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Ops in the order in which they run. Shapes are checked as it is built. */
public final class Graph {
    private final List<Value> values = new ArrayList<>();
    private final List<Node> nodes = new ArrayList<>();
    private final Map<String, Value> inputs = new LinkedHashMap<>();
    private final Map<String, Value> parameters = new LinkedHashMap<>();
    private final Map<String, Region> regions = new LinkedHashMap<>();
    private final Map<String, Value> outputs = new LinkedHashMap<>();
    private final Map<String, Value> parameterGradients = new LinkedHashMap<>();

    /** Something fed in before a step. */
    public Value input(String name, Spec spec) {
        Value v = value(name, Value.Role.INPUT, spec);
        if (inputs.putIfAbsent(name, v) != null)
            throw new IllegalArgumentException("input " + name + " is declared twice");
        return v;
    }

    /** A parameter in the weight buffer, float32; asking again for the same name gives the same value. */
    public Value parameter(String name, Shape shape, Region region) {
        Value known = parameters.get(name);
        if (known != null) {
            if (!known.shape().equals(shape)) {
                throw new ShapeException("parameter", name + " is declared as " + known.shape() + " and as " + shape);
            }
            return known;
        }
        Value v = value(name, Value.Role.PARAMETER, Spec.ofFloat(shape.dims()));
        parameters.put(name, v);
        regions.put(name, region);
        return v;
    }

    /** Appends an op; {@code label} says where in the network it stands. Shape errors name the label. */
    public List<Value> apply(String label, Op op, Value... in) {
        List<Value> arguments = List.copyOf(Arrays.asList(in));
        List<Spec> specs;
        try {
            specs = op.infer(arguments.stream().map(Value::spec).toList());
        } catch (ShapeException e) {
            throw new ShapeException(label, e.getMessage());
        }
        List<Value> out = new ArrayList<>();
        for (Spec s : specs)
            out.add(value(op.name(), Value.Role.RESULT, s));
        nodes.add(new Node(op, label, arguments, List.copyOf(out)));
        return out;
    }

    /** Names a value that is read after a step. */
    public void output(String name, Value v) { outputs.put(name, v); }

    private Value value(String name, Value.Role role, Spec spec) {
        Value v = new Value(values.size(), name, role, spec);
        values.add(v);
        return v;
    }

    /** All values, by id. */
    public List<Value> values() { return values; }

    /** All nodes in running order. */
    public List<Node> nodes() { return nodes; }

    /** Inputs by name. */
    public Map<String, Value> inputs() { return inputs; }

    /** Outputs by name. */
    public Map<String, Value> outputs() { return outputs; }

    /** Parameters by name. */
    public Map<String, Value> parameters() { return parameters; }

    /** The region of a parameter. */
    public Region region(String parameter) { return regions.get(parameter); }

    /** Gradients of trainable parameters by name, once {@link Gradients} were added. */
    public Map<String, Value> parameterGradients() {
        return parameterGradients;
    }

    /** The table of the weight buffer that holds this graph's parameters. */
    public WeightTable table() {
        WeightTable.Builder table = WeightTable.builder();
        parameters.forEach((name, v) -> table.add(name, v.shape(), regions.get(name)));
        return table.build();
    }
}
