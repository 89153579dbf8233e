package isthmus.op;

import isthmus.tensor.Shape;

/**
 * An edge of the graph: something computed, fed in, or read from the weight buffer.
 *
 * @param id position in the graph's list of values
 * @param name the parameter's or input's name; for results the name of the op that made it
 */
public record Value(int id, String name, Role role, Spec spec) {
    /** Where a value comes from. */
    public enum Role {
        /** Fed in before a step. */
        INPUT,
        /** Lives in the weight buffer. */
        PARAMETER,
        /** Made by a node. */
        RESULT
    }

    /** The logical shape. */
    public Shape shape() { return spec.shape(); }

    @Override
    public String toString() { return name + " " + shape(); }
}
