package isthmus.backend.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_A;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_AB;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ABC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ABCD;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ABCDE;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ACB;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ACDB;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ACDEB;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_BF16;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU_ISA_AVX10_1_512_AMX;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU_ISA_AVX2;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE_BF16;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_F32;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_FORMAT_TAG_ANY;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_SCRATCHPAD_MODE_USER;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_STREAM_DEFAULT_FLAGS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_UNIMPLEMENTED;

import isthmus.bindings.NativeException;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.onednn.MemoryText;
import isthmus.bindings.onednn.OneDnn;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;

/** oneDNN's CPU engine and stream, and the layouts that this backend uses. */
final class Dnnl implements AutoCloseable {
    final MemorySegment engine;
    final MemorySegment stream;
    /** Attributes of every primitive: scratch memory is ours to place. */
    final MemorySegment attributes;
    /** How many threads each call may use. */
    final int threads;

    Dnnl(int threads) {
        this.threads = threads;
        engine = OneDnn.engineCreate(DNNL_CPU, 0);
        stream = OneDnn.streamCreate(engine, DNNL_STREAM_DEFAULT_FLAGS);
        attributes = OneDnn.primitiveAttrCreate();
        OneDnn.primitiveAttrSetScratchpadMode(attributes, DNNL_SCRATCHPAD_MODE_USER);
    }

    /** Channels-last. */
    MemorySegment activation(Handles handles, Shape shape, DType type) {
        int tag = switch (shape.rank()) {
            case 1 -> DNNL_A;
            case 2 -> DNNL_AB;
            case 3 -> DNNL_ACB;
            case 4 -> DNNL_ACDB;
            case 5 -> DNNL_ACDEB;
            default -> throw new IllegalArgumentException("no channels-last layout for " + shape);
        };
        return handles.desc(OneDnn.memoryDescCreateWithTag(longs(shape), type(type), tag));
    }

    /** Row-major, as weights lie in the weight buffer. */
    MemorySegment rowMajor(Handles handles, Shape shape, DType type) {
        int tag = switch (shape.rank()) {
            case 1 -> DNNL_A;
            case 2 -> DNNL_AB;
            case 3 -> DNNL_ABC;
            case 4 -> DNNL_ABCD;
            case 5 -> DNNL_ABCDE;
            default -> throw new IllegalArgumentException("no row-major layout for " + shape);
        };
        return handles.desc(OneDnn.memoryDescCreateWithTag(longs(shape), type(type), tag));
    }

    /** As rows of {@code rows[0]} with explicit strides, in elements. */
    MemorySegment strided(Handles handles, DType type, long[] dims, long... strides) {
        return handles.desc(OneDnn.memoryDescCreateWithStrides(dims, type(type), strides));
    }

    /** Whatever layout the primitive likes best. */
    MemorySegment any(Handles handles, long[] dims, DType type) {
        return handles.desc(OneDnn.memoryDescCreateWithTag(dims, type(type), DNNL_FORMAT_TAG_ANY));
    }

    static long[] longs(Shape shape) { return Arrays.stream(shape.dims()).asLongStream().toArray(); }

    static int type(DType type) {
        return switch (type) {
            case F32 -> DNNL_F32;
            case BF16 -> DNNL_BF16;
            default -> throw new IllegalArgumentException("no computation in " + type);
        };
    }

    /** The first implementation that is neither reference code nor a detour over a plain matrix product; empty if none. */
    static Optional<MemorySegment> fast(Handles handles, Supplier<MemorySegment> create) {
        MemorySegment pd;
        try {
            pd = create.get();
        } catch (NativeException e) {
            if (e.status() == DNNL_UNIMPLEMENTED) return Optional.empty();
            throw e;
        }
        do {
            if (isFast(MemoryText.implementation(pd))) return Optional.of(handles.primitiveDesc(pd));
        } while (OneDnn.primitiveDescNextImpl(pd));
        OneDnn.primitiveDescDestroy(pd);
        return Optional.empty();
    }

    /** Without AVX2 the detour over a plain matrix product is the best that there is. */
    static boolean isFast(String implementation) {
        return !implementation.contains("ref") && !(implementation.contains("gemm:") && may(DNNL_CPU_ISA_AVX2));
    }

    /** Whether oneDNN may use an instruction set here. */
    static boolean may(int isa) {
        return (OneDnn.getEffectiveCpuIsa() & isa) == isa;
    }

    /** Whether bf16 products are made in AVX-512's vectors, by our kernels too; AMX makes eight times as many. */
    static boolean bf16InVectors() {
        return may(DNNL_CPU_ISA_AVX512_CORE_BF16) && !may(DNNL_CPU_ISA_AVX10_1_512_AMX)
                && Kernels.isa().equals("avx512");
    }

    @Override
    public void close() {
        OneDnn.primitiveAttrDestroy(attributes);
        OneDnn.streamDestroy(stream);
        OneDnn.engineDestroy(engine);
    }
}
