package isthmus.bindings.onednn;

import static isthmus.bindings.onednn.Calls.DNNL;
import static isthmus.bindings.onednn.Calls.created;
import static isthmus.bindings.onednn.Calls.dims;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * The {@code dnnl_*_primitive_desc_create} functions, in the C order of arguments without the result. Layouts are memory
 * descriptors; {@code hint} is the forward pass's primitive descriptor; {@code attr} and a bias may be NULL. Strides,
 * dilations (0 = dense) and paddings have one number a spatial axis.
 */
public final class PrimitiveDescs {
    private static final MethodHandle CONV_FORWARD = bind("convolution_forward", "ippiippppppppp");
    private static final MethodHandle CONV_DATA = bind("convolution_backward_data", "ippippppppppp");
    private static final MethodHandle CONV_WEIGHTS = bind("convolution_backward_weights", "ippipppppppppp");
    private static final MethodHandle IP_FORWARD = bind("inner_product_forward", "ippippppp");
    private static final MethodHandle IP_DATA = bind("inner_product_backward_data", "ippppppp");
    private static final MethodHandle IP_WEIGHTS = bind("inner_product_backward_weights", "ipppppppp");
    private static final MethodHandle MATMUL = bind("matmul", "ippppppp");
    private static final MethodHandle REORDER = bind("reorder", "ipppppp");
    private static final MethodHandle POOL_FORWARD = bind("pooling_forward", "ippiipppppppp");
    private static final MethodHandle POOL_BACKWARD = bind("pooling_backward", "ippippppppppp");
    private static final MethodHandle BN_FORWARD = bind("batch_normalization_forward", "ippippfip");
    private static final MethodHandle BN_BACKWARD = bind("batch_normalization_backward", "ippipppfipp");
    private static final MethodHandle BINARY = bind("binary", "ippipppp");
    private static final MethodHandle ELTWISE_FORWARD = bind("eltwise_forward", "ippiippffp");
    private static final MethodHandle ELTWISE_BACKWARD = bind("eltwise_backward", "ippipppffpp");

    private PrimitiveDescs() {}

    private static MethodHandle bind(String primitive, String letters) { return DNNL.bind(name(primitive), letters); }

    private static String name(String primitive) { return "dnnl_" + primitive + "_primitive_desc_create"; }

    /** Puts this class's functions into the table. */
    static void load() {
        // Running the initialiser is all that is needed.
    }

    public static MemorySegment convolutionForward(MemorySegment engine, int prop, int algorithm, MemorySegment src,
            MemorySegment weights, MemorySegment bias, MemorySegment dst, long[] strides, long[] dilates,
            long[] paddingL, long[] paddingR, MemorySegment attr) {
        return created(name("convolution_forward"),
                (a, out) -> (int) CONV_FORWARD.invokeExact(out, engine, prop, algorithm, src, weights, bias, dst,
                        dims(a, strides), dims(a, dilates), dims(a, paddingL), dims(a, paddingR), attr));
    }

    public static MemorySegment convolutionBackwardData(MemorySegment engine, int algorithm, MemorySegment diffSrc,
            MemorySegment weights, MemorySegment diffDst, long[] strides, long[] dilates, long[] paddingL,
            long[] paddingR, MemorySegment hint, MemorySegment attr) {
        return created(name("convolution_backward_data"),
                (a, out) -> (int) CONV_DATA.invokeExact(out, engine, algorithm, diffSrc, weights, diffDst,
                        dims(a, strides), dims(a, dilates), dims(a, paddingL), dims(a, paddingR), hint, attr));
    }

    public static MemorySegment convolutionBackwardWeights(MemorySegment engine, int algorithm, MemorySegment src,
            MemorySegment diffWeights, MemorySegment diffBias, MemorySegment diffDst, long[] strides, long[] dilates,
            long[] paddingL, long[] paddingR, MemorySegment hint, MemorySegment attr) {
        return created(name("convolution_backward_weights"),
                (a, out) -> (int) CONV_WEIGHTS.invokeExact(out, engine, algorithm, src, diffWeights, diffBias, diffDst,
                        dims(a, strides), dims(a, dilates), dims(a, paddingL), dims(a, paddingR), hint, attr));
    }

    public static MemorySegment innerProductForward(MemorySegment engine, int prop, MemorySegment src,
            MemorySegment weights, MemorySegment bias, MemorySegment dst, MemorySegment attr) {
        return created(name("inner_product_forward"),
                (a, out) -> (int) IP_FORWARD.invokeExact(out, engine, prop, src, weights, bias, dst, attr));
    }

    public static MemorySegment innerProductBackwardData(MemorySegment engine, MemorySegment diffSrc,
            MemorySegment weights, MemorySegment diffDst, MemorySegment hint, MemorySegment attr) {
        return created(name("inner_product_backward_data"),
                (a, out) -> (int) IP_DATA.invokeExact(out, engine, diffSrc, weights, diffDst, hint, attr));
    }

    public static MemorySegment innerProductBackwardWeights(MemorySegment engine, MemorySegment src,
            MemorySegment diffWeights, MemorySegment diffBias, MemorySegment diffDst, MemorySegment hint,
            MemorySegment attr) {
        return created(name("inner_product_backward_weights"), (a, out) -> (int) IP_WEIGHTS.invokeExact(out, engine,
                src, diffWeights, diffBias, diffDst, hint, attr));
    }

    public static MemorySegment matmul(MemorySegment engine, MemorySegment src, MemorySegment weights,
            MemorySegment bias, MemorySegment dst, MemorySegment attr) {
        return created(name("matmul"),
                (a, out) -> (int) MATMUL.invokeExact(out, engine, src, weights, bias, dst, attr));
    }

    public static MemorySegment reorder(MemorySegment src, MemorySegment srcEngine, MemorySegment dst,
            MemorySegment dstEngine, MemorySegment attr) {
        return created(name("reorder"),
                (a, out) -> (int) REORDER.invokeExact(out, src, srcEngine, dst, dstEngine, attr));
    }

    public static MemorySegment poolingForward(MemorySegment engine, int prop, int algorithm, MemorySegment src,
            MemorySegment dst, long[] strides, long[] kernel, long[] dilation, long[] paddingL, long[] paddingR,
            MemorySegment attr) {
        return created(name("pooling_forward"),
                (a, out) -> (int) POOL_FORWARD.invokeExact(out, engine, prop, algorithm, src, dst, dims(a, strides),
                        dims(a, kernel), dims(a, dilation), dims(a, paddingL), dims(a, paddingR), attr));
    }

    public static MemorySegment poolingBackward(MemorySegment engine, int algorithm, MemorySegment diffSrc,
            MemorySegment diffDst, long[] strides, long[] kernel, long[] dilation, long[] paddingL, long[] paddingR,
            MemorySegment hint, MemorySegment attr) {
        return created(name("pooling_backward"),
                (a, out) -> (int) POOL_BACKWARD.invokeExact(out, engine, algorithm, diffSrc, diffDst,
                        dims(a, strides), dims(a, kernel), dims(a, dilation), dims(a, paddingL), dims(a, paddingR),
                        hint, attr));
    }

    public static MemorySegment batchNormalizationForward(MemorySegment engine, int prop, MemorySegment src,
            MemorySegment dst, float epsilon, int flags, MemorySegment attr) {
        return created(name("batch_normalization_forward"),
                (a, out) -> (int) BN_FORWARD.invokeExact(out, engine, prop, src, dst, epsilon, flags, attr));
    }

    public static MemorySegment batchNormalizationBackward(MemorySegment engine, int prop, MemorySegment diffSrc,
            MemorySegment diffDst, MemorySegment src, float epsilon, int flags, MemorySegment hint,
            MemorySegment attr) {
        return created(name("batch_normalization_backward"),
                (a, out) -> (int) BN_BACKWARD.invokeExact(out, engine, prop, diffSrc, diffDst, src, epsilon, flags,
                        hint, attr));
    }

    public static MemorySegment binary(MemorySegment engine, int algorithm, MemorySegment src0, MemorySegment src1,
            MemorySegment dst, MemorySegment attr) {
        return created(name("binary"),
                (a, out) -> (int) BINARY.invokeExact(out, engine, algorithm, src0, src1, dst, attr));
    }

    public static MemorySegment eltwiseForward(MemorySegment engine, int prop, int algorithm, MemorySegment src,
            MemorySegment dst, float alpha, float beta, MemorySegment attr) {
        return created(name("eltwise_forward"),
                (a, out) -> (int) ELTWISE_FORWARD.invokeExact(out, engine, prop, algorithm, src, dst, alpha, beta,
                        attr));
    }

    public static MemorySegment eltwiseBackward(MemorySegment engine, int algorithm, MemorySegment diffSrc,
            MemorySegment diffDst, MemorySegment data, float alpha, float beta, MemorySegment hint,
            MemorySegment attr) {
        return created(name("eltwise_backward"),
                (a, out) -> (int) ELTWISE_BACKWARD.invokeExact(out, engine, algorithm, diffSrc, diffDst, data, alpha,
                        beta, hint, attr));
    }
}
