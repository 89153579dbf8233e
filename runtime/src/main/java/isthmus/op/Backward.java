package isthmus.op;

import java.util.List;

/** What an op's derivative works with: the node, the gradients of its results, and a graph to add to. */
public interface Backward {
    /** The node whose gradient is asked. */
    Node node();

    /** Gradient of result {@code i}; an error if nothing depends on that result. */
    Value upstream(int i);

    /** Whether anything asks for the gradient of input {@code i}. */
    boolean wants(int i);

    /** Adds an op to the graph, after the forward pass. */
    List<Value> apply(Op op, Value... inputs);

    /** Says that {@code gradient} is (a part of) the gradient of input {@code i}. */
    void give(int i, Value gradient);
}
