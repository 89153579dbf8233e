package isthmus.profile;

import isthmus.op.Conv;
import isthmus.op.Linear;
import isthmus.op.LinearRelu;
import isthmus.op.Node;
import isthmus.tensor.Shape;

/**
 * What a device can do at most, for floors: no kernel is faster than its bytes and its operations allow.
 *
 * @param bytesPerSecond of device memory, reads and writes together
 * @param matrixFlopsPerSecond of matrix units in half precision
 * @param vectorFlopsPerSecond of float32 units, which serve convolutions of each channel by itself
 * @param source of the figures
 */
public record Ceiling(double bytesPerSecond, double matrixFlopsPerSecond, double vectorFlopsPerSecond, String source) {
    /** An H200: rates that a copy and a large product of random numbers reached on one, and NVIDIA's figure for float32. */
    public static final Ceiling H200 = new Ceiling(4.3e12, 790e12, 67e12,
            "NVIDIA H200: 4.3 TB/s copied, 790 TFLOP/s in half-precision products, 67 TFLOP/s float32 by its data sheet");

    public Ceiling {
        if (!(bytesPerSecond > 0 && matrixFlopsPerSecond > 0 && vectorFlopsPerSecond > 0))
            throw new IllegalArgumentException("a ceiling of " + bytesPerSecond + " bytes/s, " + matrixFlopsPerSecond
                    + " and " + vectorFlopsPerSecond + " FLOP/s; all are positive");
    }

    /** The same for profiles; calls take no time of their own. */
    public Roofline roofline() {
        return new Roofline(bytesPerSecond, vectorFlopsPerSecond, matrixFlopsPerSecond, 0);
    }

    /** Least seconds of a kernel, by what it moves or by what it computes. */
    double seconds(long bytes, long flops, boolean matrix) {
        return Math.max(bytes / bytesPerSecond, flops / (matrix ? matrixFlopsPerSecond : vectorFlopsPerSecond));
    }

    /** Whether matrix units serve a node: products of matrices, and convolutions that join channels. */
    static boolean isMatrix(Node n) {
        return switch (n.op()) {
            case Conv c -> joinsChannels(n.in(1).shape());
            case Conv.BackwardData c -> joinsChannels(n.in(1).shape());
            case Conv.BackwardWeights c -> joinsChannels(c.weight());
            case Linear l -> true;
            case LinearRelu l -> true;
            case Linear.BackwardData l -> true;
            case Linear.BackwardWeights l -> true;
            default -> false;
        };
    }

    private static boolean joinsChannels(Shape weight) { return weight.dim(1) > 1 || weight.dim(0) == 1; }
}
