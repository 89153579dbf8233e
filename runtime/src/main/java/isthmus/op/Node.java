package isthmus.op;

import java.util.List;

/**
 * One application of an op.
 *
 * @param label where it stands in the network, as in {@code layer2.0.conv1}
 */
public record Node(Op op, String label, List<Value> inputs, List<Value> outputs) {
    /** The {@code i}-th input. */
    public Value in(int i) { return inputs.get(i); }

    /** The {@code i}-th output. */
    public Value out(int i) { return outputs.get(i); }

    /** Op, place and shapes, for messages. */
    @Override
    public String toString() {
        return op.name() + " " + label + " " + inputs.stream().map(v -> v.shape().toString()).toList() + " -> "
                + outputs.stream().map(v -> v.shape().toString()).toList();
    }
}
