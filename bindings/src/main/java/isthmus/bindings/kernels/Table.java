package isthmus.bindings.kernels;

import isthmus.bindings.Downcalls;
import isthmus.bindings.NativeException;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The functions of {@code isthmus.h} as handles, and the check of their status. */
final class Table {
    static final Downcalls LIBRARY = new Downcalls(NativeLibrary.kernels());

    static final MethodHandle LAST_ERROR = LIBRARY.bind("ist_last_error", "p");
    static final MethodHandle ISA = LIBRARY.bind("ist_isa", "p");
    static final MethodHandle SGD = LIBRARY.bind("ist_sgd", "ippppl");
    static final MethodHandle ADAM = LIBRARY.bind("ist_adam", "ippppppl");
    static final MethodHandle PROXIMAL = LIBRARY.bind("ist_proximal", "ipppfl");
    static final MethodHandle SUM_OF_SQUARES = LIBRARY.bind("ist_sum_of_squares", "iplp");
    static final MethodHandle COUNT_NONFINITE = LIBRARY.bind("ist_count_nonfinite", "iplp");
    static final MethodHandle GRADIENT_NORM = LIBRARY.bind("ist_gradient_norm", "iplpp");
    static final MethodHandle AVERAGE = LIBRARY.bind("ist_average", "ippfl");
    static final MethodHandle CLIP_FACTOR = LIBRARY.bind("ist_clip_factor", "ipdp");
    static final MethodHandle FOLD = LIBRARY.bind("ist_fold", "ippplpl");
    static final MethodHandle DIFFERENCE = LIBRARY.bind("ist_difference", "ipppl");
    static final MethodHandle SCALE = LIBRARY.bind("ist_scale", "iipfpl");
    static final MethodHandle AXPY = LIBRARY.bind("ist_axpy", "ifppl");
    static final MethodHandle COPY = LIBRARY.bind("ist_copy", "ippl");
    static final MethodHandle CONVERT = LIBRARY.bind("ist_convert", "iipipl");
    static final MethodHandle FILL = LIBRARY.bind("ist_fill", "iipfl");
    static final MethodHandle RELU = LIBRARY.bind("ist_relu", "iippl");
    static final MethodHandle RELU_BACKWARD = LIBRARY.bind("ist_relu_backward", "iipppl");
    static final MethodHandle ADD = LIBRARY.bind("ist_add", "iipppl");
    static final MethodHandle ADD_RELU = LIBRARY.bind("ist_add_relu", "iipppl");
    static final MethodHandle DROPOUT = LIBRARY.bind("ist_dropout", "iippfpil");
    static final MethodHandle STOCHASTIC_DEPTH = LIBRARY.bind("ist_stochastic_depth", "iippfpill");
    static final MethodHandle SIGMOID = LIBRARY.bind("ist_sigmoid", "iippl");
    static final MethodHandle SIGMOID_BACKWARD = LIBRARY.bind("ist_sigmoid_backward", "iipppl");
    static final MethodHandle SILU = LIBRARY.bind("ist_silu", "iippl");
    static final MethodHandle SILU_BACKWARD = LIBRARY.bind("ist_silu_backward", "iipppl");
    static final MethodHandle COPY_COLUMNS = LIBRARY.bind("ist_copy_columns", "iiplplll");
    static final MethodHandle SCALE_CHANNELS = LIBRARY.bind("ist_scale_channels", "iippplll");
    static final MethodHandle SCALE_CHANNELS_BACKWARD = LIBRARY.bind("ist_scale_channels_backward", "iippppplll");
    static final MethodHandle CHANNEL_STATISTICS = LIBRARY.bind("ist_channel_statistics", "iiplllpp");
    static final MethodHandle UPDATE_STATISTICS = LIBRARY.bind("ist_update_statistics", "ippppfll");
    static final MethodHandle BATCH_NORM = LIBRARY.bind("ist_batch_norm", "iiplppppfpiplll");
    static final MethodHandle BATCH_NORM_BACKWARD = LIBRARY.bind("ist_batch_norm_backward", "iiplpplppppfiiplplpppll");
    static final MethodHandle NORM_AVG_POOL = LIBRARY.bind("ist_norm_avg_pool", "ipplpp");
    static final MethodHandle NORM_AVG_POOL_BACKWARD = LIBRARY.bind("ist_norm_avg_pool_backward", "ippplp");
    static final MethodHandle NORM_MAX_POOL = LIBRARY.bind("ist_norm_max_pool", "ipplpplp");
    static final MethodHandle NORM_MAX_POOL_BACKWARD = LIBRARY.bind("ist_norm_max_pool_backward", "ipppplp");
    static final MethodHandle SETTLE = LIBRARY.bind("ist_settle", "iiplplppplll");
    static final MethodHandle NORM_MEANS = LIBRARY.bind("ist_norm_means", "iippppppfiplll");
    static final MethodHandle NORM_SCALED = LIBRARY.bind("ist_norm_scaled", "iipppppfipplll");
    static final MethodHandle NORM_SCALED_BACKWARD = LIBRARY.bind("ist_norm_scaled_backward", "iippppppfippppplll");
    static final MethodHandle GROUP_NORM = LIBRARY.bind("ist_group_norm", "iiplppfpiplppllll");
    static final MethodHandle GROUP_NORM_AGAIN = LIBRARY.bind("ist_group_norm_again", "iiplppppfpiplllll");
    static final MethodHandle GROUP_NORM_BACKWARD = LIBRARY.bind("ist_group_norm_backward", "iiplpplppppfiplplpppllll");
    static final MethodHandle MAX_POOL = LIBRARY.bind("ist_max_pool", "iipppp");
    static final MethodHandle MAX_POOL_BACKWARD = LIBRARY.bind("ist_max_pool_backward", "iipppp");
    static final MethodHandle AVG_POOL = LIBRARY.bind("ist_avg_pool", "iippp");
    static final MethodHandle AVG_POOL_BACKWARD = LIBRARY.bind("ist_avg_pool_backward", "iippp");
    static final MethodHandle GLOBAL_AVG_POOL = LIBRARY.bind("ist_global_avg_pool", "iipplll");
    static final MethodHandle GLOBAL_AVG_POOL_BACKWARD = LIBRARY.bind("ist_global_avg_pool_backward", "iipplll");
    static final MethodHandle UPSAMPLE = LIBRARY.bind("ist_upsample", "iipipp");
    static final MethodHandle WARP_AFFINE = LIBRARY.bind("ist_warp_affine", "iplippplll");
    static final MethodHandle UPSAMPLE_BACKWARD = LIBRARY.bind("ist_upsample_backward", "iipipp");
    static final MethodHandle CONV = LIBRARY.bind("ist_conv", "iippppp");
    static final MethodHandle CONV_DENSE = LIBRARY.bind("ist_conv_dense", "ippppppl");
    static final MethodHandle CONV_DENSE_SCRATCH = LIBRARY.bind("ist_conv_dense_scratch", "iplp");
    static final MethodHandle CONV_STEM = LIBRARY.bind("ist_conv_stem", "ipppppppl");
    static final MethodHandle CONV_STEM_SCRATCH = LIBRARY.bind("ist_conv_stem_scratch", "iplp");
    static final MethodHandle CONV_STEM_BACKWARD_WEIGHTS = LIBRARY.bind("ist_conv_stem_backward_weights", "ippppppl");
    static final MethodHandle CONV_STEM_BACKWARD_WEIGHTS_SCRATCH = LIBRARY.bind(
            "ist_conv_stem_backward_weights_scratch", "iplp");
    static final MethodHandle POINTWISE = LIBRARY.bind("ist_pointwise", "iplpppplpplllpl");
    static final MethodHandle POINTWISE_SCRATCH = LIBRARY.bind("ist_pointwise_scratch", "illllp");
    static final MethodHandle POINTWISE_BACKWARD_WEIGHTS_SCRATCH = LIBRARY.bind(
            "ist_pointwise_backward_weights_scratch", "illllp");
    static final MethodHandle POINTWISE_BACKWARD_DATA = LIBRARY.bind("ist_pointwise_backward_data", "ipppplplllpl");
    static final MethodHandle POINTWISE_BACKWARD_DATA_SCRATCH = LIBRARY.bind("ist_pointwise_backward_data_scratch",
            "illllp");
    static final MethodHandle POINTWISE_BACKWARD_WEIGHTS = LIBRARY.bind("ist_pointwise_backward_weights",
            "iplpppplllpl");
    static final MethodHandle WINOGRAD = LIBRARY.bind("ist_winograd", "ipplpppipplppppl");
    static final MethodHandle WINOGRAD_SCRATCH = LIBRARY.bind("ist_winograd_scratch", "iplp");
    static final MethodHandle WINOGRAD_WEIGHTS = LIBRARY.bind("ist_winograd_weights", "ipplpplpppl");
    static final MethodHandle WINOGRAD_WEIGHTS_SCRATCH = LIBRARY.bind("ist_winograd_weights_scratch", "iplp");
    static final MethodHandle CONV_BACKWARD_DATA = LIBRARY.bind("ist_conv_backward_data", "iipppp");
    static final MethodHandle CONV_BACKWARD_WEIGHTS = LIBRARY.bind("ist_conv_backward_weights", "iipppp");
    static final MethodHandle DEPTHWISE = LIBRARY.bind("ist_depthwise", "iippppp");
    static final MethodHandle DEPTHWISE_BACKWARD_DATA = LIBRARY.bind("ist_depthwise_backward_data", "iipppp");
    static final MethodHandle DEPTHWISE_BACKWARD_WEIGHTS = LIBRARY.bind("ist_depthwise_backward_weights", "iipppp");
    static final MethodHandle CROSS_ENTROPY = LIBRARY.bind("ist_cross_entropy", "ippppll");
    static final MethodHandle BCE_WITH_LOGITS = LIBRARY.bind("ist_bce_with_logits", "ipppppll");
    static final MethodHandle FOCAL = LIBRARY.bind("ist_focal", "ipppddppll");
    static final MethodHandle DICE_CE = LIBRARY.bind("ist_dice_ce", "ippfipplll");
    static final MethodHandle SMOOTH_L1 = LIBRARY.bind("ist_smooth_l1", "ippfppl");
    static final MethodHandle DETECTION_LOSS = LIBRARY.bind("ist_detection_loss", "ipppppp");
    static final MethodHandle SOFTMAX = LIBRARY.bind("ist_softmax", "ippll");
    static final MethodHandle CHANNELS_FIRST = LIBRARY.bind("ist_channels_first", "iipiplll");
    static final MethodHandle CHANNELS_LAST = LIBRARY.bind("ist_channels_last", "iipiplll");
    static final MethodHandle COLUMN_SUM = LIBRARY.bind("ist_column_sum", "iiplpll");
    static final MethodHandle ADD_BIAS = LIBRARY.bind("ist_add_bias", "iipppll");

    private Table() {}

    /** Throws the library's own words unless the status is 0. */
    static void check(String call, int status) {
        if (status != 0) throw new NativeException(call, status, lastError());
    }

    private static String lastError() {
        try {
            return NativeMemory.text((MemorySegment) LAST_ERROR.invokeExact());
        } catch (Throwable t) {
            throw Downcalls.failure("ist_last_error", t);
        }
    }
}
