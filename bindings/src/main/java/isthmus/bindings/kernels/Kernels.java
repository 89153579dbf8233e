package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;

/**
 * Our native kernels, one static method a function of {@code isthmus.h}, where shapes and formulas stand. Pointers are
 * native segments and are not kept; NULL is {@link MemorySegment#NULL}. Nothing is allocated on the heap; a refusal
 * becomes a {@link isthmus.bindings.NativeException}, and an absent library throws why it is absent. What {@code options}
 * and {@code window} point to is written by {@link KernelStructs}.
 */
public final class Kernels {
    /** Element types. */
    public static final int F32 = 0;
    public static final int BF16 = 1;
    /** For {@link #convert} only. */
    public static final int F16 = 2;

    /** Activations that a normalisation may end with. */
    public static final int NONE = 0;
    public static final int RELU = 1;
    public static final int SILU = 2;

    private Kernels() {}

    /** Why the kernels cannot be used; empty if they can. */
    public static Optional<String> problem() {
        return NativeLibrary.kernels().problem();
    }

    /** Every C function bound, with its ABI letters; see {@link isthmus.bindings.Downcalls}. */
    public static Map<String, String> signatures() {
        return Table.LIBRARY.signatures();
    }

    /** The instruction set in use: avx512, avx2 or plain. */
    public static String isa() {
        try {
            return NativeMemory.text((MemorySegment) Table.ISA.invokeExact());
        } catch (Throwable t) {
            throw failure("ist_isa", t);
        }
    }

    /** One step of SGD with momentum, Nesterov momentum and weight decay, as torch.optim.SGD. */
    public static void sgd(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, long n) {
        try {
            check("ist_sgd", (int) Table.SGD.invokeExact(options, p, g, m, n));
        } catch (Throwable t) {
            throw failure("ist_sgd", t);
        }
    }

    /** One step of Adam, AdamW or, with {@code vmax}, AMSGrad, as torch.optim; {@code vmax} may be NULL. */
    public static void adam(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, MemorySegment v,
            MemorySegment vmax, long n) {
        try {
            check("ist_adam", (int) Table.ADAM.invokeExact(options, p, g, m, v, vmax, n));
        } catch (Throwable t) {
            throw failure("ist_adam", t);
        }
    }

    /** {@code g += mu (p - p0)}: the gradient of FedProx's proximal term. */
    public static void proximal(MemorySegment g, MemorySegment p, MemorySegment p0, float mu, long n) {
        try {
            check("ist_proximal", (int) Table.PROXIMAL.invokeExact(g, p, p0, mu, n));
        } catch (Throwable t) {
            throw failure("ist_proximal", t);
        }
    }

    /** Writes the sum of squares as one float64; its bits do not depend on the number of threads. */
    public static void sumOfSquares(MemorySegment x, long n, MemorySegment sum) {
        try {
            check("ist_sum_of_squares", (int) Table.SUM_OF_SQUARES.invokeExact(x, n, sum));
        } catch (Throwable t) {
            throw failure("ist_sum_of_squares", t);
        }
    }

    /** Writes as one int64 how many elements are infinite or no number. */
    public static void countNonfinite(MemorySegment x, long n, MemorySegment count) {
        try {
            check("ist_count_nonfinite", (int) Table.COUNT_NONFINITE.invokeExact(x, n, count));
        } catch (Throwable t) {
            throw failure("ist_count_nonfinite", t);
        }
    }

    /** Writes {@code min(1, maxNorm / (sqrt(sumOfSquares) + 1e-6))} as one float64. */
    public static void clipFactor(MemorySegment sumOfSquares, double maxNorm, MemorySegment factor) {
        try {
            check("ist_clip_factor", (int) Table.CLIP_FACTOR.invokeExact(sumOfSquares, maxNorm, factor));
        } catch (Throwable t) {
            throw failure("ist_clip_factor", t);
        }
    }

    /** {@code out = base + sum of weights[j] updates[j]}, in float64 in the order of j; updates is an array of k pointers. */
    public static void fold(MemorySegment base, MemorySegment updates, MemorySegment weights, long k, MemorySegment out,
            long n) {
        try {
            check("ist_fold", (int) Table.FOLD.invokeExact(base, updates, weights, k, out, n));
        } catch (Throwable t) {
            throw failure("ist_fold", t);
        }
    }

    /** {@code y = a - b}. */
    public static void difference(MemorySegment a, MemorySegment b, MemorySegment y, long n) {
        try {
            check("ist_difference", (int) Table.DIFFERENCE.invokeExact(a, b, y, n));
        } catch (Throwable t) {
            throw failure("ist_difference", t);
        }
    }

    /** {@code y = factor x}. */
    public static void scale(int dtype, MemorySegment x, float factor, MemorySegment y, long n) {
        try {
            check("ist_scale", (int) Table.SCALE.invokeExact(dtype, x, factor, y, n));
        } catch (Throwable t) {
            throw failure("ist_scale", t);
        }
    }

    /** {@code y += factor x}. */
    public static void axpy(float factor, MemorySegment x, MemorySegment y, long n) {
        try {
            check("ist_axpy", (int) Table.AXPY.invokeExact(factor, x, y, n));
        } catch (Throwable t) {
            throw failure("ist_axpy", t);
        }
    }

    /** Copies {@code n} bytes on all threads. */
    public static void copy(MemorySegment x, MemorySegment y, long n) {
        try {
            check("ist_copy", (int) Table.COPY.invokeExact(x, y, n));
        } catch (Throwable t) {
            throw failure("ist_copy", t);
        }
    }

    /** {@code y = x} in another element type, rounded to nearest even. */
    public static void convert(int from, MemorySegment x, int to, MemorySegment y, long n) {
        try {
            check("ist_convert", (int) Table.CONVERT.invokeExact(from, x, to, y, n));
        } catch (Throwable t) {
            throw failure("ist_convert", t);
        }
    }

    /** Every element becomes {@code value}. */
    public static void fill(int dtype, MemorySegment y, float value, long n) {
        try {
            check("ist_fill", (int) Table.FILL.invokeExact(dtype, y, value, n));
        } catch (Throwable t) {
            throw failure("ist_fill", t);
        }
    }

    /** {@code y = max(x, 0)}. */
    public static void relu(int dtype, MemorySegment x, MemorySegment y, long n) {
        try {
            check("ist_relu", (int) Table.RELU.invokeExact(dtype, x, y, n));
        } catch (Throwable t) {
            throw failure("ist_relu", t);
        }
    }

    /** {@code dx = y > 0 ? dy : 0}. */
    public static void reluBackward(int dtype, MemorySegment y, MemorySegment dy, MemorySegment dx, long n) {
        try {
            check("ist_relu_backward", (int) Table.RELU_BACKWARD.invokeExact(dtype, y, dy, dx, n));
        } catch (Throwable t) {
            throw failure("ist_relu_backward", t);
        }
    }

    /** {@code y = a + b}. */
    public static void add(int dtype, MemorySegment a, MemorySegment b, MemorySegment y, long n) {
        try {
            check("ist_add", (int) Table.ADD.invokeExact(dtype, a, b, y, n));
        } catch (Throwable t) {
            throw failure("ist_add", t);
        }
    }

    /** {@code y = max(a + b, 0)}. */
    public static void addRelu(int dtype, MemorySegment a, MemorySegment b, MemorySegment y, long n) {
        try {
            check("ist_add_relu", (int) Table.ADD_RELU.invokeExact(dtype, a, b, y, n));
        } catch (Throwable t) {
            throw failure("ist_add_relu", t);
        }
    }

    /** {@code y = keep ? x / (1 - p) : 0}, forward and backward alike; state is two int64, seed and step. */
    public static void dropout(int dtype, MemorySegment x, MemorySegment y, float p, MemorySegment state, int op,
            long n) {
        try {
            check("ist_dropout", (int) Table.DROPOUT.invokeExact(dtype, x, y, p, state, op, n));
        } catch (Throwable t) {
            throw failure("ist_dropout", t);
        }
    }

    /** Mean and biased variance of each channel. */
    public static void channelStatistics(int dtype, MemorySegment x, long ldx, long rows, long c, MemorySegment mean,
            MemorySegment variance) {
        try {
            check("ist_channel_statistics",
                    (int) Table.CHANNEL_STATISTICS.invokeExact(dtype, x, ldx, rows, c, mean, variance));
        } catch (Throwable t) {
            throw failure("ist_channel_statistics", t);
        }
    }

    /** Moves running statistics towards a batch's, with the unbiased variance. */
    public static void updateStatistics(MemorySegment mean, MemorySegment variance, MemorySegment runningMean,
            MemorySegment runningVariance, float momentum, long count, long c) {
        try {
            check("ist_update_statistics", (int) Table.UPDATE_STATISTICS.invokeExact(mean, variance, runningMean,
                    runningVariance, momentum, count, c));
        } catch (Throwable t) {
            throw failure("ist_update_statistics", t);
        }
    }

    /** Normalises, adds a residual (or NULL) and applies an activation. */
    public static void batchNorm(int dtype, MemorySegment x, long ldx, MemorySegment mean, MemorySegment variance,
            MemorySegment gamma, MemorySegment beta, float epsilon, MemorySegment residual, int activation,
            MemorySegment y,
            long ldy, long rows, long c) {
        try {
            check("ist_batch_norm", (int) Table.BATCH_NORM.invokeExact(dtype, x, ldx, mean, variance, gamma, beta,
                    epsilon, residual, activation, y, ldy, rows, c));
        } catch (Throwable t) {
            throw failure("ist_batch_norm", t);
        }
    }

    /** Gradients of {@link #batchNorm}; y, dx, add and dresidual may be NULL; dx may be add or dy. */
    public static void batchNormBackward(int dtype, MemorySegment x, long ldx, MemorySegment y, MemorySegment dy,
            long ldy, MemorySegment mean, MemorySegment variance, MemorySegment gamma, MemorySegment beta,
            float epsilon, int activation, int frozen, MemorySegment dx, long lddx, MemorySegment add, long ldadd,
            MemorySegment dgamma, MemorySegment dbeta, MemorySegment dresidual, long rows, long c) {
        try {
            check("ist_batch_norm_backward", (int) Table.BATCH_NORM_BACKWARD.invokeExact(dtype, x, ldx, y, dy, ldy,
                    mean, variance, gamma, beta, epsilon, activation, frozen, dx, lddx, add, ldadd, dgamma, dbeta,
                    dresidual, rows, c));
        } catch (Throwable t) {
            throw failure("ist_batch_norm_backward", t);
        }
    }

    /** {@code y = x slope + shift + d}, a slope and a shift a channel; y may be d. */
    public static void settle(int dtype, MemorySegment d, long ldd, MemorySegment x, long ldx, MemorySegment slope,
            MemorySegment shift, MemorySegment y, long ldy, long rows, long c) {
        try {
            check("ist_settle",
                    (int) Table.SETTLE.invokeExact(dtype, d, ldd, x, ldx, slope, shift, y, ldy, rows, c));
        } catch (Throwable t) {
            throw failure("ist_settle", t);
        }
    }

    /** Normalises each sample's groups of channels, writes their statistics; adds a residual (or NULL), activates. */
    public static void groupNorm(int dtype, MemorySegment x, long ldx, MemorySegment gamma, MemorySegment beta,
            float epsilon, MemorySegment residual, int activation, MemorySegment y, long ldy, MemorySegment mean,
            MemorySegment variance, long n, long rows, long c, long groups) {
        try {
            check("ist_group_norm", (int) Table.GROUP_NORM.invokeExact(dtype, x, ldx, gamma, beta, epsilon, residual,
                    activation, y, ldy, mean, variance, n, rows, c, groups));
        } catch (Throwable t) {
            throw failure("ist_group_norm", t);
        }
    }

    /** The same y from the statistics that {@link #groupNorm} has written. */
    public static void groupNormAgain(int dtype, MemorySegment x, long ldx, MemorySegment mean, MemorySegment variance,
            MemorySegment gamma, MemorySegment beta, float epsilon, MemorySegment residual, int activation,
            MemorySegment y, long ldy, long n, long rows, long c, long groups) {
        try {
            check("ist_group_norm_again", (int) Table.GROUP_NORM_AGAIN.invokeExact(dtype, x, ldx, mean, variance, gamma,
                    beta, epsilon, residual, activation, y, ldy, n, rows, c, groups));
        } catch (Throwable t) {
            throw failure("ist_group_norm_again", t);
        }
    }

    /** Gradients of {@link #groupNorm}; y, dx, add and dresidual may be NULL; dx may be add or dy. */
    public static void groupNormBackward(int dtype, MemorySegment x, long ldx, MemorySegment y, MemorySegment dy,
            long ldy, MemorySegment mean, MemorySegment variance, MemorySegment gamma, MemorySegment beta,
            float epsilon, int activation, MemorySegment dx, long lddx, MemorySegment add, long ldadd,
            MemorySegment dgamma, MemorySegment dbeta, MemorySegment dresidual, long n, long rows, long c,
            long groups) {
        try {
            check("ist_group_norm_backward", (int) Table.GROUP_NORM_BACKWARD.invokeExact(dtype, x, ldx, y, dy, ldy,
                    mean, variance, gamma, beta, epsilon, activation, dx, lddx, add, ldadd, dgamma, dbeta, dresidual, n,
                    rows, c, groups));
        } catch (Throwable t) {
            throw failure("ist_group_norm_backward", t);
        }
    }

    /** {@code [n,s,c] -> [n,c,s]}; the element types may differ. */
    public static void channelsFirst(int from, MemorySegment x, int to, MemorySegment y, long n, long s, long c) {
        try {
            check("ist_channels_first", (int) Table.CHANNELS_FIRST.invokeExact(from, x, to, y, n, s, c));
        } catch (Throwable t) {
            throw failure("ist_channels_first", t);
        }
    }

    /** {@code [n,c,s] -> [n,s,c]}; the element types may differ. */
    public static void channelsLast(int from, MemorySegment x, int to, MemorySegment y, long n, long s, long c) {
        try {
            check("ist_channels_last", (int) Table.CHANNELS_LAST.invokeExact(from, x, to, y, n, s, c));
        } catch (Throwable t) {
            throw failure("ist_channels_last", t);
        }
    }

    /** Sum of each column. */
    public static void columnSum(int dtype, MemorySegment x, long ldx, MemorySegment sum, long rows, long c) {
        try {
            check("ist_column_sum", (int) Table.COLUMN_SUM.invokeExact(dtype, x, ldx, sum, rows, c));
        } catch (Throwable t) {
            throw failure("ist_column_sum", t);
        }
    }

    /** {@code y[r,j] = x[r,j] + bias[j]}. */
    public static void addBias(int dtype, MemorySegment x, MemorySegment bias, MemorySegment y, long rows, long c) {
        try {
            check("ist_add_bias", (int) Table.ADD_BIAS.invokeExact(dtype, x, bias, y, rows, c));
        } catch (Throwable t) {
            throw failure("ist_add_bias", t);
        }
    }
}
