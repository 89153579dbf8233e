package isthmus.op;

import java.util.Map;

/** A function of one number that an op may apply to its result in the same pass. */
public enum Activation {
    /** {@code z}. */
    NONE,
    /** {@code max(z, 0)}, see {@link Relu}. */
    RELU,
    /** {@code z sigmoid(z)}, see {@link Silu}. */
    SILU;

    double of(double z) {
        return switch (this) {
            case NONE -> z;
            case RELU -> Math.max(z, 0);
            case SILU -> z * Sigmoid.of(z);
        };
    }

    /** The derivative at z. */
    double slope(double z) {
        return switch (this) {
            case NONE -> 1;
            case RELU -> z > 0 ? 1 : 0;
            case SILU -> Silu.slope(z);
        };
    }

    /** Operations an element, as {@link Op#flops} counts them. */
    int flops() { return this == NONE ? 0 : 1; }

    /** Writes the op's last node: this function of the ONNX value {@code z}. */
    void onnx(OnnxEmitter o, String z) {
        switch (this) {
            case NONE -> o.emit("Identity", Map.of(), z);
            case RELU -> o.emit("Relu", Map.of(), z);
            case SILU -> o.emit("Mul", Map.of(), z, o.step("Sigmoid", Map.of(), z));
        }
    }

    /** What a kernel's name says of it: {@code +relu}. */
    public String suffix() {
        return this == NONE ? "" : "+" + name().toLowerCase(java.util.Locale.ROOT);
    }
}
