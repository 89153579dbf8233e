package isthmus.bindings.onednn;

import static isthmus.bindings.onednn.Calls.DNNL;
import static isthmus.bindings.onednn.Calls.call;
import static isthmus.bindings.onednn.Calls.check;
import static isthmus.bindings.onednn.Calls.created;
import static isthmus.bindings.onednn.Calls.dims;

import isthmus.bindings.Downcalls;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import java.util.Optional;

/**
 * oneDNN's C functions but those that create primitive descriptors ({@link PrimitiveDescs}). Handles are raw pointers: who
 * creates one destroys it. Every status other than success becomes a {@link isthmus.bindings.NativeException} with the
 * library's words; where the library itself is absent, every call throws that reason.
 */
public final class OneDnn {
    /** Bytes of one {@code dnnl_exec_arg_t}: int32 argument, four bytes of padding, pointer. */
    public static final long EXEC_ARG_BYTES = 16;

    private static final Downcalls OMP = new Downcalls(NativeLibrary.openMp());

    private static final MethodHandle VERSION = DNNL.bind("dnnl_version", "p");
    private static final MethodHandle EFFECTIVE_ISA = DNNL.bind("dnnl_get_effective_cpu_isa", "i");
    private static final MethodHandle SET_MAX_ISA = DNNL.bind("dnnl_set_max_cpu_isa", "ii");
    private static final MethodHandle SET_VERBOSE = DNNL.bind("dnnl_set_verbose", "ii");
    private static final MethodHandle SET_CACHE = DNNL.bind("dnnl_set_primitive_cache_capacity", "ii");
    private static final MethodHandle ENGINE_CREATE = DNNL.bind("dnnl_engine_create", "ipil");
    private static final MethodHandle ENGINE_DESTROY = DNNL.bind("dnnl_engine_destroy", "ip");
    private static final MethodHandle STREAM_CREATE = DNNL.bind("dnnl_stream_create", "ippi");
    private static final MethodHandle STREAM_WAIT = DNNL.bind("dnnl_stream_wait", "ip");
    private static final MethodHandle STREAM_DESTROY = DNNL.bind("dnnl_stream_destroy", "ip");
    private static final MethodHandle MD_WITH_TAG = DNNL.bind("dnnl_memory_desc_create_with_tag", "ipipii");
    private static final MethodHandle MD_WITH_STRIDES = DNNL.bind("dnnl_memory_desc_create_with_strides", "ipipip");
    private static final MethodHandle MD_CLONE = DNNL.bind("dnnl_memory_desc_clone", "ipp");
    private static final MethodHandle MD_DESTROY = DNNL.bind("dnnl_memory_desc_destroy", "ip");
    private static final MethodHandle MD_SIZE = DNNL.bind("dnnl_memory_desc_get_size", "lp");
    private static final MethodHandle MD_EQUAL = DNNL.bind("dnnl_memory_desc_equal", "ipp");
    private static final MethodHandle MD_QUERY = DNNL.bind("dnnl_memory_desc_query", "ipip");
    private static final MethodHandle MEMORY_CREATE = DNNL.bind("dnnl_memory_create", "ipppp");
    private static final MethodHandle MEMORY_DESTROY = DNNL.bind("dnnl_memory_destroy", "ip");
    private static final MethodHandle MEMORY_SET = DNNL.bind("dnnl_memory_set_data_handle", "ipp");
    private static final MethodHandle MEMORY_GET = DNNL.bind("dnnl_memory_get_data_handle", "ipp");
    private static final MethodHandle PD_QUERY = DNNL.bind("dnnl_primitive_desc_query", "ipiip");
    private static final MethodHandle PD_QUERY_MD = DNNL.bind("dnnl_primitive_desc_query_md", "ppii");
    private static final MethodHandle PD_NEXT = DNNL.bind("dnnl_primitive_desc_next_impl", "ip");
    private static final MethodHandle PD_DESTROY = DNNL.bind("dnnl_primitive_desc_destroy", "ip");
    private static final MethodHandle CREATE = DNNL.bind("dnnl_primitive_create", "ipp");
    private static final MethodHandle EXECUTE = DNNL.bind("dnnl_primitive_execute", "ippip");
    private static final MethodHandle DESTROY = DNNL.bind("dnnl_primitive_destroy", "ip");
    private static final MethodHandle ATTR_CREATE = DNNL.bind("dnnl_primitive_attr_create", "ip");
    private static final MethodHandle ATTR_DESTROY = DNNL.bind("dnnl_primitive_attr_destroy", "ip");
    private static final MethodHandle ATTR_SCRATCHPAD = DNNL.bind("dnnl_primitive_attr_set_scratchpad_mode", "ipi");
    private static final MethodHandle ATTR_FPMATH = DNNL.bind("dnnl_primitive_attr_set_fpmath_mode", "ipi");
    private static final MethodHandle ATTR_DETERMINISTIC = DNNL.bind("dnnl_primitive_attr_set_deterministic", "ipi");
    private static final MethodHandle ATTR_POST_OPS = DNNL.bind("dnnl_primitive_attr_set_post_ops", "ipp");
    private static final MethodHandle POST_OPS_CREATE = DNNL.bind("dnnl_post_ops_create", "ip");
    private static final MethodHandle POST_OPS_DESTROY = DNNL.bind("dnnl_post_ops_destroy", "ip");
    private static final MethodHandle POST_OPS_SUM = DNNL.bind("dnnl_post_ops_append_sum", "ipfii");
    private static final MethodHandle POST_OPS_ELTWISE = DNNL.bind("dnnl_post_ops_append_eltwise", "ipiff");
    private static final MethodHandle POST_OPS_BINARY = DNNL.bind("dnnl_post_ops_append_binary", "ipip");
    private static final MethodHandle SET_THREADS = OMP.bind("omp_set_num_threads", "vi");
    private static final MethodHandle MAX_THREADS = OMP.bind("omp_get_max_threads", "i");

    private OneDnn() {}

    /** Why oneDNN cannot be used; empty if it can. */
    public static Optional<String> problem() {
        return NativeLibrary.oneDnn().problem();
    }

    /** Every C function bound, with its ABI letters; see {@link Downcalls}. */
    public static Map<String, String> signatures() {
        PrimitiveDescs.load();
        return DNNL.signatures();
    }

    /** Version as text, such as {@code 3.11.0}. */
    public static String version() {
        try {
            MemorySegment v = NativeMemory.view((MemorySegment) VERSION.invokeExact(), 12);
            return v.getAtIndex(ValueLayout.JAVA_INT, 0) + "." + v.getAtIndex(ValueLayout.JAVA_INT, 1) + "."
                    + v.getAtIndex(ValueLayout.JAVA_INT, 2);
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_version", t);
        }
    }

    /** The instruction set in use, {@code DNNL_CPU_ISA_*}. */
    public static int getEffectiveCpuIsa() {
        try {
            return (int) EFFECTIVE_ISA.invokeExact();
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_get_effective_cpu_isa", t);
        }
    }

    /** Limits the instruction set; only before anything was created. */
    public static void setMaxCpuIsa(int isa) {
        call("dnnl_set_max_cpu_isa", () -> (int) SET_MAX_ISA.invokeExact(isa));
    }

    /** 0 silent, 1 executions, 2 creations too; oneDNN prints to C's standard output. */
    public static void setVerbose(int level) {
        call("dnnl_set_verbose", () -> (int) SET_VERBOSE.invokeExact(level));
    }

    /** How many primitives oneDNN keeps for re-creation; 0 for none. */
    public static void setPrimitiveCacheCapacity(int capacity) {
        call("dnnl_set_primitive_cache_capacity", () -> (int) SET_CACHE.invokeExact(capacity));
    }

    public static MemorySegment engineCreate(int kind, long index) {
        return created("dnnl_engine_create", (a, out) -> (int) ENGINE_CREATE.invokeExact(out, kind, index));
    }

    public static void engineDestroy(MemorySegment engine) {
        call("dnnl_engine_destroy", () -> (int) ENGINE_DESTROY.invokeExact(engine));
    }

    public static MemorySegment streamCreate(MemorySegment engine, int flags) {
        return created("dnnl_stream_create", (a, out) -> (int) STREAM_CREATE.invokeExact(out, engine, flags));
    }

    public static void streamWait(MemorySegment stream) {
        try {
            check("dnnl_stream_wait", (int) STREAM_WAIT.invokeExact(stream));
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_stream_wait", t);
        }
    }

    public static void streamDestroy(MemorySegment stream) {
        call("dnnl_stream_destroy", () -> (int) STREAM_DESTROY.invokeExact(stream));
    }

    public static MemorySegment memoryDescCreateWithTag(long[] dims, int dataType, int tag) {
        return created("dnnl_memory_desc_create_with_tag",
                (a, out) -> (int) MD_WITH_TAG.invokeExact(out, dims.length, dims(a, dims), dataType, tag));
    }

    /** Strides count elements. */
    public static MemorySegment memoryDescCreateWithStrides(long[] dims, int dataType, long[] strides) {
        return created("dnnl_memory_desc_create_with_strides",
                (a, out) -> (int) MD_WITH_STRIDES.invokeExact(out, dims.length, dims(a, dims), dataType,
                        dims(a, strides)));
    }

    /** A copy that outlives the primitive descriptor that the original was queried from. */
    public static MemorySegment memoryDescClone(MemorySegment desc) {
        return created("dnnl_memory_desc_clone", (a, out) -> (int) MD_CLONE.invokeExact(out, desc));
    }

    public static void memoryDescDestroy(MemorySegment desc) {
        call("dnnl_memory_desc_destroy", () -> (int) MD_DESTROY.invokeExact(desc));
    }

    /** Bytes that such a memory takes. */
    public static long memoryDescGetSize(MemorySegment desc) {
        try {
            return (long) MD_SIZE.invokeExact(desc);
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_memory_desc_get_size", t);
        }
    }

    public static boolean memoryDescEqual(MemorySegment a, MemorySegment b) {
        try {
            return (int) MD_EQUAL.invokeExact(a, b) != 0;
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_memory_desc_equal", t);
        }
    }

    /** Asks for one property, which is written to {@code result}. */
    public static void memoryDescQuery(MemorySegment desc, int what, MemorySegment result) {
        call("dnnl_memory_desc_query", () -> (int) MD_QUERY.invokeExact(desc, what, result));
    }

    /** A memory over a buffer, or over none (NULL) until {@link #memorySetDataHandle}. */
    public static MemorySegment memoryCreate(MemorySegment desc, MemorySegment engine, MemorySegment buffer) {
        return created("dnnl_memory_create", (a, out) -> (int) MEMORY_CREATE.invokeExact(out, desc, engine, buffer));
    }

    public static void memoryDestroy(MemorySegment memory) {
        call("dnnl_memory_destroy", () -> (int) MEMORY_DESTROY.invokeExact(memory));
    }

    /** Allocates nothing. */
    public static void memorySetDataHandle(MemorySegment memory, MemorySegment buffer) {
        try {
            check("dnnl_memory_set_data_handle", (int) MEMORY_SET.invokeExact(memory, buffer));
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_memory_set_data_handle", t);
        }
    }

    public static MemorySegment memoryGetDataHandle(MemorySegment memory) {
        return created("dnnl_memory_get_data_handle", (a, out) -> (int) MEMORY_GET.invokeExact(memory, out));
    }

    /** Asks for one property, which is written to {@code result}. */
    public static void primitiveDescQuery(MemorySegment desc, int what, int index, MemorySegment result) {
        call("dnnl_primitive_desc_query", () -> (int) PD_QUERY.invokeExact(desc, what, index, result));
    }

    /** A layout that the primitive wants; owned by the primitive descriptor. NULL if it has none. */
    public static MemorySegment primitiveDescQueryMd(MemorySegment desc, int what, int index) {
        try {
            return (MemorySegment) PD_QUERY_MD.invokeExact(desc, what, index);
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_primitive_desc_query_md", t);
        }
    }

    /** Moves to the next implementation; false if there is none. */
    public static boolean primitiveDescNextImpl(MemorySegment desc) {
        try {
            int status = (int) PD_NEXT.invokeExact(desc);
            if (status == OneDnnConstants.DNNL_LAST_IMPL_REACHED) return false;
            check("dnnl_primitive_desc_next_impl", status);
            return true;
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_primitive_desc_next_impl", t);
        }
    }

    public static void primitiveDescDestroy(MemorySegment desc) {
        call("dnnl_primitive_desc_destroy", () -> (int) PD_DESTROY.invokeExact(desc));
    }

    public static MemorySegment primitiveCreate(MemorySegment desc) {
        return created("dnnl_primitive_create", (a, out) -> (int) CREATE.invokeExact(out, desc));
    }

    /** Runs a primitive with {@code count} arguments as {@link #putExecArg} writes them. Allocates nothing. */
    public static void execute(MemorySegment primitive, MemorySegment stream, int count, MemorySegment args) {
        try {
            check("dnnl_primitive_execute", (int) EXECUTE.invokeExact(primitive, stream, count, args));
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_primitive_execute", t);
        }
    }

    /** Writes the {@code index}-th {@code dnnl_exec_arg_t} of an array of {@link #EXEC_ARG_BYTES} each. */
    public static void putExecArg(MemorySegment args, int index, int arg, MemorySegment memory) {
        args.set(ValueLayout.JAVA_INT, EXEC_ARG_BYTES * index, arg);
        args.set(ValueLayout.ADDRESS, EXEC_ARG_BYTES * index + 8, memory);
    }

    public static void primitiveDestroy(MemorySegment primitive) {
        call("dnnl_primitive_destroy", () -> (int) DESTROY.invokeExact(primitive));
    }

    public static MemorySegment primitiveAttrCreate() {
        return created("dnnl_primitive_attr_create", (a, out) -> (int) ATTR_CREATE.invokeExact(out));
    }

    public static void primitiveAttrDestroy(MemorySegment attr) {
        call("dnnl_primitive_attr_destroy", () -> (int) ATTR_DESTROY.invokeExact(attr));
    }

    public static void primitiveAttrSetScratchpadMode(MemorySegment attr, int mode) {
        call("dnnl_primitive_attr_set_scratchpad_mode", () -> (int) ATTR_SCRATCHPAD.invokeExact(attr, mode));
    }

    public static void primitiveAttrSetFpmathMode(MemorySegment attr, int mode) {
        call("dnnl_primitive_attr_set_fpmath_mode", () -> (int) ATTR_FPMATH.invokeExact(attr, mode));
    }

    public static void primitiveAttrSetDeterministic(MemorySegment attr, boolean deterministic) {
        call("dnnl_primitive_attr_set_deterministic",
                () -> (int) ATTR_DETERMINISTIC.invokeExact(attr, deterministic ? 1 : 0));
    }

    /** Copies the post-ops: they may be destroyed afterwards. */
    public static void primitiveAttrSetPostOps(MemorySegment attr, MemorySegment postOps) {
        call("dnnl_primitive_attr_set_post_ops", () -> (int) ATTR_POST_OPS.invokeExact(attr, postOps));
    }

    public static MemorySegment postOpsCreate() {
        return created("dnnl_post_ops_create", (a, out) -> (int) POST_OPS_CREATE.invokeExact(out));
    }

    public static void postOpsDestroy(MemorySegment postOps) {
        call("dnnl_post_ops_destroy", () -> (int) POST_OPS_DESTROY.invokeExact(postOps));
    }

    /** {@code dst = op(...) + scale (dst - zeroPoint)}; {@code DNNL_DATA_TYPE_UNDEF} for dst's own type. */
    public static void postOpsAppendSum(MemorySegment postOps, float scale, int zeroPoint, int dataType) {
        call("dnnl_post_ops_append_sum", () -> (int) POST_OPS_SUM.invokeExact(postOps, scale, zeroPoint, dataType));
    }

    public static void postOpsAppendEltwise(MemorySegment postOps, int algorithm, float alpha, float beta) {
        call("dnnl_post_ops_append_eltwise",
                () -> (int) POST_OPS_ELTWISE.invokeExact(postOps, algorithm, alpha, beta));
    }

    public static void postOpsAppendBinary(MemorySegment postOps, int algorithm, MemorySegment src1) {
        call("dnnl_post_ops_append_binary", () -> (int) POST_OPS_BINARY.invokeExact(postOps, algorithm, src1));
    }

    /** Sets the size of the team that parallel regions entered by the calling thread get. */
    public static void ompSetNumThreads(int threads) {
        try {
            SET_THREADS.invokeExact(threads);
        } catch (Throwable t) {
            throw Downcalls.failure("omp_set_num_threads", t);
        }
    }

    /** The size of the team that the calling thread's next parallel region gets. */
    public static int ompGetMaxThreads() {
        try {
            return (int) MAX_THREADS.invokeExact();
        } catch (Throwable t) {
            throw Downcalls.failure("omp_get_max_threads", t);
        }
    }
}
