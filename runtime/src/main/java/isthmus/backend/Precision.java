package isthmus.backend;

import isthmus.tensor.DType;
import java.util.List;

/**
 * Element type of activations and of the copies of weights that are computed with. Master weights, gradients of weights,
 * statistics and losses are float32 always.
 */
public enum Precision {
    /** Everything in float32. */
    FP32(DType.F32),
    /** bfloat16 mixed. */
    BF16(DType.BF16),
    /**
     * IEEE half precision mixed. Its small range asks for a {@linkplain StepScalars#lossScale scaled loss}. For GPUs: on
     * a CPU activations are stored in half precision and computed with in float32, which proves the arithmetic and is
     * slower than {@link #FP32}.
     */
    F16(DType.F16);

    private final DType compute;

    Precision(DType compute) { this.compute = compute; }

    /** The compute type. */
    public DType compute() { return compute; }

    /**
     * Reads {@code fp32}, {@code bf16}, {@code f16} or {@code amp}, which is half precision where the device is faster in it,
     * else float32.
     */
    public static Precision parse(String text, Backend backend) {
        if (!isAmp(text)) return parse(text);
        return backend.halfProblem().isPresent() ? FP32 : backend.amp();
    }

    /** What to tell people about the device's reading of a precision: one line where {@code amp} means float32. */
    public static List<String> notes(String text, Backend backend) {
        return isAmp(text)
                ? backend.halfProblem().map(p -> "amp computes in fp32 here, as half precision would be slower: " + p)
                        .stream().toList()
                : List.of();
    }

    /** Whether the text leaves the choice to the device. */
    public static boolean isAmp(String text) {
        return text.equalsIgnoreCase("amp");
    }

    /** Reads {@code fp32}, {@code bf16}, {@code f16} or {@code amp}; on CPUs {@code amp} means bf16. */
    public static Precision parse(String text) {
        return switch (text.toLowerCase(java.util.Locale.ROOT)) {
            case "fp32", "float32" -> FP32;
            case "bf16", "bfloat16", "amp" -> BF16;
            case "f16", "fp16", "float16" -> F16;
            default -> throw new IllegalArgumentException(
                    "precision '" + text + "' is not known; choose fp32, bf16, f16 or amp (bf16 on a CPU)");
        };
    }
}
