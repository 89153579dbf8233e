package isthmus.bindings.cublas;

import isthmus.bindings.BoundLibrary;
import isthmus.bindings.Checked;
import isthmus.bindings.Downcalls;
import isthmus.bindings.NativeException;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** cuBLASLt, one method a function. Matrices are column-major, as in its manual; device pointers are segments of length 0. */
public final class CublasLt extends BoundLibrary {
    /** Bytes of {@code cublasLtMatmulHeuristicResult_t}. */
    public static final long HEURISTIC_BYTES = 96;
    /** Where its {@code workspaceSize} lies; the algorithm comes first. */
    public static final long HEURISTIC_WORKSPACE = 64;
    /** Where its {@code state} lies. */
    public static final long HEURISTIC_STATE = 72;

    private final MethodHandle statusString;
    private final MethodHandle version;
    private final MethodHandle create;
    private final MethodHandle destroy;
    private final MethodHandle descCreate;
    private final MethodHandle descDestroy;
    private final MethodHandle descSet;
    private final MethodHandle layoutCreate;
    private final MethodHandle layoutDestroy;
    private final MethodHandle preferenceCreate;
    private final MethodHandle preferenceDestroy;
    private final MethodHandle preferenceSet;
    private final MethodHandle heuristic;
    private final MethodHandle matmul;

    /** Binds the library, which may be missing: then every call throws, saying why. */
    public CublasLt(NativeLibrary library) {
        super(library);
        statusString = table.bind("cublasLtGetStatusString", "pi");
        version = table.bind("cublasLtGetVersion", "l");
        create = table.bind("cublasLtCreate", "ip");
        destroy = table.bind("cublasLtDestroy", "ip");
        descCreate = table.bind("cublasLtMatmulDescCreate", "ipii");
        descDestroy = table.bind("cublasLtMatmulDescDestroy", "ip");
        descSet = table.bind("cublasLtMatmulDescSetAttribute", "ipipl");
        layoutCreate = table.bind("cublasLtMatrixLayoutCreate", "ipilll");
        layoutDestroy = table.bind("cublasLtMatrixLayoutDestroy", "ip");
        preferenceCreate = table.bind("cublasLtMatmulPreferenceCreate", "ip");
        preferenceDestroy = table.bind("cublasLtMatmulPreferenceDestroy", "ip");
        preferenceSet = table.bind("cublasLtMatmulPreferenceSetAttribute", "ipipl");
        heuristic = table.bind("cublasLtMatmulAlgoGetHeuristic", "ipppppppipp");
        matmul = table.bind("cublasLtMatmul", "ipppppppppppppplp");
    }

    @Override
    protected String words(int status) {
        return Checked.get("cublasLtGetStatusString",
                () -> NativeMemory.text((MemorySegment) statusString.invokeExact(status)));
    }

    /** Its version, as in 130101. */
    public long version() {
        return Checked.get("cublasLtGetVersion", () -> (long) version.invokeExact());
    }

    /** A handle, for the current context. */
    public MemorySegment create() {
        return checked.pointer("cublasLtCreate", (a, out) -> (int) create.invokeExact(out));
    }

    /** Ends a handle. */
    public void destroy(MemorySegment handle) {
        checked.call("cublasLtDestroy", () -> (int) destroy.invokeExact(handle));
    }

    /** What kind of product. */
    public MemorySegment createDesc(int computeType, int scaleType) {
        return checked.pointer("cublasLtMatmulDescCreate",
                (a, out) -> (int) descCreate.invokeExact(out, computeType, scaleType));
    }

    /** Ends a description. */
    public void destroyDesc(MemorySegment desc) {
        checked.call("cublasLtMatmulDescDestroy", () -> (int) descDestroy.invokeExact(desc));
    }

    /** Sets an int32 attribute. */
    public void setDesc(MemorySegment desc, int attribute, int value) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment v = scratch.allocateFrom(ValueLayout.JAVA_INT, value);
            checked.call("cublasLtMatmulDescSetAttribute",
                    () -> (int) descSet.invokeExact(desc, attribute, v, (long) Integer.BYTES));
        }
    }

    /** Sets a pointer attribute. */
    public void setDesc(MemorySegment desc, int attribute, MemorySegment pointer) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment v = scratch.allocateFrom(ValueLayout.ADDRESS, pointer);
            checked.call("cublasLtMatmulDescSetAttribute",
                    () -> (int) descSet.invokeExact(desc, attribute, v, (long) Long.BYTES));
        }
    }

    /** A column-major matrix. */
    public MemorySegment createLayout(int type, long rows, long columns, long leading) {
        return checked.pointer("cublasLtMatrixLayoutCreate",
                (a, out) -> (int) layoutCreate.invokeExact(out, type, rows, columns, leading));
    }

    /** Ends a layout. */
    public void destroyLayout(MemorySegment layout) {
        checked.call("cublasLtMatrixLayoutDestroy", () -> (int) layoutDestroy.invokeExact(layout));
    }

    /**
     * What an algorithm may count on.
     *
     * @param workspace bytes that it may use
     * @param operands of which number of bytes the operands' addresses are multiples
     * @param result the same of the result's
     */
    public record Limits(long workspace, int operands, int result) {}

    /**
     * The library's best algorithms.
     *
     * @param results room for {@code most} results of {@link #HEURISTIC_BYTES}
     * @return how many there are; 0 if the library does not support this
     */
    public int heuristics(MemorySegment handle, MemorySegment desc, MemorySegment a, MemorySegment b, MemorySegment d,
            Limits limits, MemorySegment results, int most) {
        MemorySegment preference = preference(limits);
        try {
            return checked.intValue("cublasLtMatmulAlgoGetHeuristic", (s, out) -> (int) heuristic.invokeExact(handle,
                    desc, a, b, d, d, preference, most, results, out));
        } catch (NativeException e) {
            if (e.status() == CublasLtConstants.CUBLAS_STATUS_NOT_SUPPORTED) return 0;
            throw e;
        } finally {
            checked.call("cublasLtMatmulPreferenceDestroy", () -> (int) preferenceDestroy.invokeExact(preference));
        }
    }

    private MemorySegment preference(Limits limits) {
        MemorySegment preference = checked.pointer("cublasLtMatmulPreferenceCreate",
                (s, out) -> (int) preferenceCreate.invokeExact(out));
        try (Arena scratch = Arena.ofConfined()) {
            prefer(preference, CublasLtConstants.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                    scratch.allocateFrom(ValueLayout.JAVA_LONG, limits.workspace));
            MemorySegment operands = scratch.allocateFrom(ValueLayout.JAVA_INT, limits.operands);
            MemorySegment result = scratch.allocateFrom(ValueLayout.JAVA_INT, limits.result);
            prefer(preference, CublasLtConstants.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, operands);
            prefer(preference, CublasLtConstants.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, operands);
            prefer(preference, CublasLtConstants.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, result);
            prefer(preference, CublasLtConstants.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, result);
        }
        return preference;
    }

    private void prefer(MemorySegment preference, int attribute, MemorySegment value) {
        checked.call("cublasLtMatmulPreferenceSetAttribute",
                () -> (int) preferenceSet.invokeExact(preference, attribute, value, value.byteSize()));
    }

    /** {@code d = alpha op(a) op(b) + beta d}, with the description's epilogue; alpha and beta are float32 on the host. */
    public void matmul(MemorySegment handle, MemorySegment desc, MemorySegment alpha, MemorySegment a,
            MemorySegment aLayout, MemorySegment b, MemorySegment bLayout, MemorySegment beta, MemorySegment d,
            MemorySegment dLayout, MemorySegment algorithm, MemorySegment workspace, long workspaceBytes,
            MemorySegment stream) {
        try {
            checked.check("cublasLtMatmul", (int) matmul.invokeExact(handle, desc, alpha, a, aLayout, b, bLayout, beta,
                    d, dLayout, d, dLayout, algorithm, workspace, workspaceBytes, stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cublasLtMatmul", t);
        }
    }
}
