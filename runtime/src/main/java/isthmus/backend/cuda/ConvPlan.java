package isthmus.backend.cuda;

import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_COMP_TYPE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_CONV_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_DILATIONS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_POST_PADDINGS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINECFG_ENGINE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_DEVICEPROP;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_RESULTS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINE_GLOBAL_INDEX;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINE_NUMERICAL_NOTE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_EXECUTION_PLAN_HANDLE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATIONGRAPH_HANDLE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATIONGRAPH_OPS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_TENSOR_DATA_TYPE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_TENSOR_DIMENSIONS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_TENSOR_STRIDES;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_TENSOR_UNIQUE_ID;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_VARIANT_PACK_WORKSPACE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_ENGINE_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_TENSOR_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_CROSS_CORRELATION;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_DATA_BFLOAT16;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_DATA_FLOAT;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_DATA_HALF;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_HEUR_MODE_A;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_HEUR_MODE_B;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_HEUR_MODE_FALLBACK;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_NUMERICAL_NOTE_TYPE_COUNT;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_BACKEND_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_CONVOLUTION_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_DATA_TYPE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_HEUR_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_NUMERICAL_NOTE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_VOID_PTR;

import isthmus.bindings.cudnn.Cudnn;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/** A convolution as a cuDNN graph of one operation, and the execution plans that cuDNN offers for it. Owns its descriptors. */
final class ConvPlan implements AutoCloseable {
    private static final long X = 1;
    private static final long W = 2;
    private static final long Y = 3;
    /** More configurations than any heuristic has given; the float32 ones without TF32 stand at the end of its list. */
    private static final int MOST_CONFIGURATIONS = 128;
    /** One engine comes in tens of variants, and none is best for all shapes. */
    private static final int MOST_OF_AN_ENGINE = 3;
    private static final int MOST_CANDIDATES = 12;
    /** How cuDNN orders its engines: by a quick rule, by a model, and what always works. */
    private static final int[] MODES = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK};

    /** An execution plan with what it was made of, what it is called and the workspace that it needs. */
    record Candidate(MemorySegment plan, MemorySegment engine, MemorySegment configuration, String name,
            long workspace) {}

    private final ConvTarget target;
    private final Cudnn cudnn;
    private final ConvProblem problem;
    private final boolean tf32;
    private final Predicate<String> named;
    private final Deque<MemorySegment> owned = new ArrayDeque<>();
    private final MemorySegment graph;
    private final List<Candidate> candidates = new ArrayList<>();

    /**
     * Describes the problem; {@link #candidates} is empty if cuDNN has no engine for it.
     *
     * @param tf32 whether float32 operands may be rounded to TF32
     */
    ConvPlan(ConvTarget target, ConvProblem problem, boolean tf32) { this(target, problem, tf32, name -> true); }

    /** The same with those candidates alone whose names are wanted; the others cost next to nothing. */
    ConvPlan(ConvTarget target, ConvProblem problem, boolean tf32, Predicate<String> named) {
        this.target = target;
        this.cudnn = target.cudnn();
        this.problem = problem;
        this.tf32 = tf32;
        this.named = named;
        try {
            this.graph = graph();
            if (graph == null) return;
            for (int mode : MODES)
                if (candidates.isEmpty()) search(mode);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    List<Candidate> candidates() { return candidates; }

    ConvProblem problem() { return problem; }

    private MemorySegment make(int kind) {
        MemorySegment d = cudnn.createDescriptor(kind);
        owned.push(d);
        return d;
    }

    private MemorySegment graph() {
        MemorySegment op = make(problem.direction().kind);
        ConvProblem.Direction d = problem.direction();
        cudnn.setFloat(op, d.alpha, 1);
        cudnn.setFloat(op, d.beta, 0);
        descriptor(op, d.convolution, convolution());
        descriptor(op, d.x, tensor(X, problem.x(), problem.ldx(), problem.type()));
        descriptor(op, d.w, tensor(W, problem.w(), problem.w().dim(1), problem.weightType()));
        descriptor(op, d.y, tensor(Y, problem.y(), problem.ldy(), problem.type()));
        if (!cudnn.finishIfSupported(op)) return null;
        MemorySegment g = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        target.setHandle(g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
        descriptor(g, CUDNN_ATTR_OPERATIONGRAPH_OPS, op);
        return cudnn.finishIfSupported(g) ? g : null;
    }

    private void descriptor(MemorySegment of, int attribute, MemorySegment value) {
        cudnn.setPointers(of, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, value);
    }

    /** Channels-last strides of a logical NC... shape whose rows are so far apart. */
    private MemorySegment tensor(long id, Shape shape, long apart, DType type) {
        MemorySegment t = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        long[] dims = new long[shape.rank()];
        long[] strides = new long[shape.rank()];
        long step = apart;
        for (int i = shape.rank() - 1; i > 1; i--) {
            strides[i] = step;
            step *= shape.dim(i);
        }
        strides[1] = 1;
        strides[0] = step;
        for (int i = 0; i < dims.length; i++)
            dims[i] = shape.dim(i);
        cudnn.setInt(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, code(type));
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_DIMENSIONS, dims);
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_STRIDES, strides);
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, Rows.ALIGNMENT);
        cudnn.finish(t);
        return t;
    }

    private static int code(DType type) {
        return switch (type) {
            case F32 -> CUDNN_DATA_FLOAT;
            case F16 -> CUDNN_DATA_HALF;
            case BF16 -> CUDNN_DATA_BFLOAT16;
            default -> throw new IllegalArgumentException("cuDNN convolves no " + type);
        };
    }

    private MemorySegment convolution() {
        MemorySegment c = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
        var w = problem.window();
        cudnn.setInt(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
        cudnn.setInt(c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
        cudnn.setLongs(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, w.axes());
        cudnn.setLongs(c, CUDNN_ATTR_CONVOLUTION_DILATIONS, longs(w.dilation()));
        cudnn.setLongs(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, longs(w.stride()));
        cudnn.setLongs(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, longs(w.padding()));
        cudnn.setLongs(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, longs(w.padding()));
        cudnn.finish(c);
        return c;
    }

    private static long[] longs(List<Integer> values) {
        return values.stream().mapToLong(Integer::longValue).toArray();
    }

    private void search(int mode) {
        MemorySegment heuristics = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
        descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
        cudnn.setInt(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
        target.setDescription(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
        if (!cudnn.finishIfSupported(heuristics)) return;
        List<MemorySegment> found = cudnn.getDescriptors(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, MOST_CONFIGURATIONS);
        Map<Long, Integer> taken = new HashMap<>();
        for (int i = 0; i < found.size(); i++)
            if (candidates.size() >= MOST_CANDIDATES || !take(found.get(i), mode, i, taken))
                cudnn.destroyDescriptor(found.get(i));
    }

    /** Makes a candidate of a configuration; false if it is not wanted, or cannot be made a plan. */
    private boolean take(MemorySegment configuration, int mode, int place, Map<Long, Integer> taken) {
        MemorySegment engine = cudnn
                .getDescriptors(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1)
                .getFirst();
        long index = index(engine);
        String name = letter(mode) + place + " engine " + index;
        if (taken.getOrDefault(index, 0) < MOST_OF_AN_ENGINE && named.test(name) && isWanted(engine)) {
            MemorySegment plan = cudnn.createDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
            target.setHandle(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
            target.setDescription(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
            descriptor(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
            if (cudnn.finishIfSupported(plan)) {
                taken.merge(index, 1, Integer::sum);
                candidates.add(new Candidate(plan, engine, configuration, name,
                        cudnn.getLong(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)));
                return true;
            }
            cudnn.destroyDescriptor(plan);
        }
        cudnn.destroyDescriptor(engine);
        return false;
    }

    private long index(MemorySegment engine) { return cudnn.getLong(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX); }

    private static String letter(int mode) {
        return mode == CUDNN_HEUR_MODE_A ? "A" : mode == CUDNN_HEUR_MODE_B ? "B" : "F";
    }

    /**
     * The same input must give the same bits, and float32 means float32 unless TF32 was asked for: what runs float32 on
     * tensor cores rounds to TF32, whether or not cuDNN notes that it converts its inputs.
     */
    private boolean isWanted(MemorySegment engine) {
        boolean exact = problem.type() == DType.F32 && !tf32;
        int[] notes = cudnn.getInts(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
        for (int note : notes) {
            if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC
                    || note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
                return false;
            if (exact && (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS))
                return false;
        }
        return true;
    }

    /** Gives up all candidates but one. */
    void keep(Candidate one) {
        candidates.stream().filter(c -> !c.equals(one)).forEach(this::destroy);
        candidates.retainAll(List.of(one));
    }

    private void destroy(Candidate c) {
        cudnn.destroyDescriptor(c.plan);
        cudnn.destroyDescriptor(c.engine);
        cudnn.destroyDescriptor(c.configuration);
    }

    /** The arguments of an execution; owned by this. */
    MemorySegment pack(long x, long w, long y, long workspace) {
        MemorySegment p = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        cudnn.setLongs(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, X, W, Y);
        cudnn.setPointers(p, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, MemorySegment.ofAddress(x),
                MemorySegment.ofAddress(w), MemorySegment.ofAddress(y));
        if (workspace != 0)
            cudnn.setPointers(p, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
                    MemorySegment.ofAddress(workspace));
        cudnn.finish(p);
        return p;
    }

    /** Runs a candidate on the arguments of a pack. */
    void run(Candidate candidate, MemorySegment pack) {
        cudnn.execute(target.handle(), candidate.plan, pack);
    }

    @Override
    public void close() {
        candidates.forEach(this::destroy);
        candidates.clear();
        while (!owned.isEmpty())
            cudnn.destroyDescriptor(owned.pop());
    }
}
