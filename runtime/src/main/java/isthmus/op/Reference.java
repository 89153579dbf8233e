package isthmus.op;

import isthmus.tensor.Shape;

/** Inputs and results of a naive computation: float arrays, row-major over the logical shape. */
public interface Reference {
    /** Values of input {@code i}; parameters that an op updates are written here. */
    float[] in(int i);

    /** Values of result {@code i}, to be filled; zero at first. */
    float[] out(int i);

    /** Shape of input {@code i}. */
    Shape inShape(int i);

    /** Shape of result {@code i}. */
    Shape outShape(int i);

    /** Number of inputs. */
    int inputs();

    /** The seed and step that counter-based randomness depends on. */
    long seed();

    /** See {@link #seed()}. */
    long step();

    /** The factor on the loss's gradient; see {@link LossScale}. */
    float lossScale();
}
