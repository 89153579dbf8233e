package isthmus.bindings.onednn;

/**
 * The constants of oneDNN's C headers that are used: the C name in capitals. A test compares every one of them with the
 * headers that ship with the library.
 */
public final class OneDnnConstants {
    private OneDnnConstants() {}

    // Status codes.
    public static final int DNNL_SUCCESS = 0;
    public static final int DNNL_OUT_OF_MEMORY = 1;
    public static final int DNNL_INVALID_ARGUMENTS = 2;
    public static final int DNNL_UNIMPLEMENTED = 3;
    public static final int DNNL_RUNTIME_ERROR = 5;
    public static final int DNNL_NOT_REQUIRED = 6;
    public static final int DNNL_LAST_IMPL_REACHED = 4;

    // Element types.
    public static final int DNNL_DATA_TYPE_UNDEF = 0;
    public static final int DNNL_F16 = 1;
    public static final int DNNL_BF16 = 2;
    public static final int DNNL_F32 = 3;
    public static final int DNNL_S32 = 4;
    public static final int DNNL_S8 = 5;
    public static final int DNNL_U8 = 6;
    public static final int DNNL_F64 = 7;

    // How memory is laid out: letters are axes, outermost first.
    public static final int DNNL_FORMAT_TAG_UNDEF = 0;
    public static final int DNNL_FORMAT_TAG_ANY = 1;
    public static final int DNNL_A = 2;
    public static final int DNNL_AB = 3;
    public static final int DNNL_BA = 14;
    public static final int DNNL_ABC = 4;
    public static final int DNNL_ACB = 15;
    public static final int DNNL_ABCD = 5;
    public static final int DNNL_ACDB = 22;
    public static final int DNNL_BACD = 25;
    public static final int DNNL_BCDA = 26;
    public static final int DNNL_CDBA = 28;
    public static final int DNNL_ABCDE = 6;
    public static final int DNNL_ACDEB = 33;
    public static final int DNNL_BCDEA = 36;
    public static final int DNNL_CDEBA = 38;
    public static final int DNNL_ABCDEF = 7;
    public static final int DNNL_X = 2;
    public static final int DNNL_NC = 3;
    public static final int DNNL_NWC = 15;
    public static final int DNNL_NCW = 4;
    public static final int DNNL_NHWC = 22;
    public static final int DNNL_NCHW = 5;
    public static final int DNNL_NDHWC = 33;
    public static final int DNNL_NCDHW = 6;
    public static final int DNNL_OI = 3;
    public static final int DNNL_IO = 14;
    public static final int DNNL_OIW = 4;
    public static final int DNNL_WIO = 19;
    public static final int DNNL_OIHW = 5;
    public static final int DNNL_OHWI = 22;
    public static final int DNNL_HWIO = 28;
    public static final int DNNL_IHWO = 26;
    public static final int DNNL_OIDHW = 6;
    public static final int DNNL_ODHWI = 33;
    public static final int DNNL_DHWIO = 38;
    public static final int DNNL_GOIHW = 6;
    public static final int DNNL_GOHWI = 31;
    public static final int DNNL_HWIGO = 39;
    public static final int DNNL_GOIDHW = 7;
    public static final int DNNL_GODHWI = 41;
    public static final int DNNL_DHWIGO = 45;

    // What a primitive is for.
    public static final int DNNL_FORWARD_TRAINING = 64;
    public static final int DNNL_FORWARD_INFERENCE = 96;
    public static final int DNNL_BACKWARD = 128;
    public static final int DNNL_BACKWARD_DATA = 160;
    public static final int DNNL_BACKWARD_WEIGHTS = 192;
    public static final int DNNL_BACKWARD_BIAS = 193;

    // Algorithms.
    public static final int DNNL_CONVOLUTION_DIRECT = 1;
    public static final int DNNL_CONVOLUTION_WINOGRAD = 2;
    public static final int DNNL_CONVOLUTION_AUTO = 3;
    public static final int DNNL_POOLING_MAX = 511;
    public static final int DNNL_POOLING_AVG_INCLUDE_PADDING = 767;
    public static final int DNNL_POOLING_AVG_EXCLUDE_PADDING = 1023;
    public static final int DNNL_ELTWISE_RELU = 32;
    public static final int DNNL_ELTWISE_RELU_USE_DST_FOR_BWD = 256;
    public static final int DNNL_ELTWISE_LOGISTIC = 41;
    public static final int DNNL_ELTWISE_LINEAR = 38;
    public static final int DNNL_ELTWISE_SWISH = 44;
    public static final int DNNL_ELTWISE_GELU_ERF = 49;
    public static final int DNNL_BINARY_ADD = 131056;
    public static final int DNNL_BINARY_MUL = 131057;
    public static final int DNNL_BINARY_MAX = 131058;
    public static final int DNNL_BINARY_MIN = 131059;
    public static final int DNNL_BINARY_SUB = 131061;
    public static final int DNNL_BINARY_DIV = 131060;

    // Flags of normalisations.
    public static final int DNNL_NORMALIZATION_FLAGS_NONE = 0;
    public static final int DNNL_USE_GLOBAL_STATS = 1;
    public static final int DNNL_USE_SCALE = 2;
    public static final int DNNL_USE_SHIFT = 4;
    public static final int DNNL_FUSE_NORM_RELU = 8;
    public static final int DNNL_FUSE_NORM_ADD_RELU = 16;

    // What may be asked of descriptors.
    public static final int DNNL_QUERY_MEMORY_CONSUMPTION_S64 = 6;
    public static final int DNNL_QUERY_SCRATCHPAD_ENGINE = 7;
    public static final int DNNL_QUERY_IMPL_INFO_STR = 8;
    public static final int DNNL_QUERY_NDIMS_S32 = 256;
    public static final int DNNL_QUERY_DIMS = 257;
    public static final int DNNL_QUERY_DATA_TYPE = 258;
    public static final int DNNL_QUERY_SUBMEMORY_OFFSET_S64 = 259;
    public static final int DNNL_QUERY_PADDED_DIMS = 260;
    public static final int DNNL_QUERY_PADDED_OFFSETS = 261;
    public static final int DNNL_QUERY_FORMAT_KIND = 262;
    public static final int DNNL_QUERY_INNER_NBLKS_S32 = 263;
    public static final int DNNL_QUERY_INNER_BLKS = 264;
    public static final int DNNL_QUERY_INNER_IDXS = 265;
    public static final int DNNL_QUERY_STRIDES = 14;
    public static final int DNNL_QUERY_SRC_MD = 129;
    public static final int DNNL_QUERY_DIFF_SRC_MD = 130;
    public static final int DNNL_QUERY_WEIGHTS_MD = 131;
    public static final int DNNL_QUERY_DIFF_WEIGHTS_MD = 132;
    public static final int DNNL_QUERY_DST_MD = 133;
    public static final int DNNL_QUERY_DIFF_DST_MD = 134;
    public static final int DNNL_QUERY_WORKSPACE_MD = 135;
    public static final int DNNL_QUERY_SCRATCHPAD_MD = 136;
    public static final int DNNL_QUERY_EXEC_ARG_MD = 255;

    // Kinds of memory formats.
    public static final int DNNL_FORMAT_KIND_UNDEF = 0;
    public static final int DNNL_FORMAT_KIND_ANY = 1;
    public static final int DNNL_BLOCKED = 2;
    public static final int DNNL_FORMAT_KIND_OPAQUE = 3;

    // Modes.
    public static final int DNNL_SCRATCHPAD_MODE_LIBRARY = 0;
    public static final int DNNL_SCRATCHPAD_MODE_USER = 1;
    public static final int DNNL_FPMATH_MODE_STRICT = 0;
    public static final int DNNL_FPMATH_MODE_BF16 = 1;
    public static final int DNNL_FPMATH_MODE_F16 = 2;
    public static final int DNNL_FPMATH_MODE_ANY = 3;
    public static final int DNNL_FPMATH_MODE_TF32 = 4;

    // Engines and streams.
    public static final int DNNL_ANY_ENGINE = 0;
    public static final int DNNL_CPU = 1;
    public static final int DNNL_GPU = 2;
    public static final int DNNL_STREAM_IN_ORDER = 1;
    public static final int DNNL_STREAM_OUT_OF_ORDER = 2;
    public static final int DNNL_STREAM_DEFAULT_FLAGS = 1;

    // Instruction sets.
    public static final int DNNL_CPU_ISA_DEFAULT = 0;
    public static final int DNNL_CPU_ISA_SSE41 = 1;
    public static final int DNNL_CPU_ISA_AVX = 3;
    public static final int DNNL_CPU_ISA_AVX2 = 7;
    public static final int DNNL_CPU_ISA_AVX2_VNNI = 15;
    public static final int DNNL_CPU_ISA_AVX512_CORE = 39;
    public static final int DNNL_CPU_ISA_AVX512_CORE_VNNI = 103;
    public static final int DNNL_CPU_ISA_AVX512_CORE_BF16 = 231;
    public static final int DNNL_CPU_ISA_AVX10_1_512 = 495;
    public static final int DNNL_CPU_ISA_AVX10_1_512_AMX = 4079;

    // Arguments of an execution.
    public static final int DNNL_ARG_SRC = 1;
    public static final int DNNL_ARG_SRC_0 = 1;
    public static final int DNNL_ARG_SRC_1 = 2;
    public static final int DNNL_ARG_FROM = 1;
    public static final int DNNL_ARG_DST = 17;
    public static final int DNNL_ARG_TO = 17;
    public static final int DNNL_ARG_WEIGHTS = 33;
    public static final int DNNL_ARG_BIAS = 41;
    public static final int DNNL_ARG_MEAN = 49;
    public static final int DNNL_ARG_VARIANCE = 50;
    public static final int DNNL_ARG_SCALE = 51;
    public static final int DNNL_ARG_SHIFT = 52;
    public static final int DNNL_ARG_WORKSPACE = 64;
    public static final int DNNL_ARG_SCRATCHPAD = 80;
    public static final int DNNL_ARG_DIFF_SRC = 129;
    public static final int DNNL_ARG_DIFF_SRC_0 = 129;
    public static final int DNNL_ARG_DIFF_SRC_1 = 130;
    public static final int DNNL_ARG_DIFF_DST = 145;
    public static final int DNNL_ARG_DIFF_WEIGHTS = 161;
    public static final int DNNL_ARG_DIFF_BIAS = 169;
    public static final int DNNL_ARG_DIFF_SCALE = 255;
    public static final int DNNL_ARG_DIFF_SHIFT = 256;
    public static final int DNNL_ARG_ATTR_POST_OP_DW = 16384;
    public static final int DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE = 32768;

    // Limits.
    public static final int DNNL_MAX_NDIMS = 12;
}
