package isthmus.nn;

import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How a parameter starts. Element i is a function of the seed, the parameter's name and i alone, so that the order of
 * declaration does not matter.
 */
public sealed interface Init {
    /** The same value everywhere. */
    record Constant(float value) implements Init {}

    /** Uniform in {@code [-bound, bound)}. */
    record Uniform(float bound) implements Init {}

    /** Normal with mean 0. */
    record Normal(float deviation) implements Init {}

    /** Zeros. */
    static Init zeros() { return new Constant(0); }

    /** Ones. */
    static Init ones() { return new Constant(1); }

    /** PyTorch's default for convolution and linear layers, weight and bias alike: uniform within {@code 1 / sqrt(fan in)}. */
    static Init fanIn(long fanIn) {
        return new Uniform((float) (1 / Math.sqrt((double) fanIn)));
    }

    /** He et al. 2015 for ReLU, fan out: normal with deviation {@code sqrt(2 / (O k k))}; w is {@code [O,I,k...]}. */
    static Init heFanOut(Shape w) {
        return new Normal((float) Math.sqrt(2.0 / ((double) w.dim(0) * w.elementsFrom(2))));
    }

    /** He et al. 2015 for ReLU, fan in: normal with deviation {@code sqrt(2 / (I k k))}; w is {@code [O,I,k...]}. */
    static Init heFanIn(Shape w) {
        return new Normal((float) Math.sqrt(2.0 / w.elementsFrom(1)));
    }

    /** Fills a parameter. */
    default void fill(MemorySegment parameter, long seed, String name) {
        long n = parameter.byteSize() / Float.BYTES;
        long key = Seeds.key(seed, name);
        for (long i = 0; i < n; i++) {
            float v = switch (this) {
                case Constant c -> c.value;
                case Uniform u -> (2 * Seeds.uniform(key, i) - 1) * u.bound;
                case Normal g -> (float) (Seeds.normal(key, i) * g.deviation);
            };
            parameter.setAtIndex(ValueLayout.JAVA_FLOAT, i, v);
        }
    }
}
