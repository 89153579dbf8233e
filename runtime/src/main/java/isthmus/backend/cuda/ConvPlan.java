package isthmus.backend.cuda;

import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_COMP_TYPE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_CONV_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_DILATIONS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_POST_PADDINGS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINECFG_ENGINE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINEHEUR_RESULTS;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINE_GLOBAL_INDEX;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_ENGINE_NUMERICAL_NOTE;
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
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_NUMERICAL_NOTE_TYPE_COUNT;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_BACKEND_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_CONVOLUTION_MODE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_DATA_TYPE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_HANDLE;
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
import java.util.List;

/** A convolution as a cuDNN graph of one operation, and the execution plans that cuDNN offers for it. Owns its descriptors. */
final class ConvPlan implements AutoCloseable {
    private static final long X = 1;
    private static final long W = 2;
    private static final long Y = 3;
    private static final int MOST_CONFIGURATIONS = 8;
    /** How cuDNN orders its engines: by a quick rule, by a model, and what always works. */
    private static final int[] MODES = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK};

    /** An execution plan with what it is called and the workspace that it needs. */
    record Candidate(MemorySegment plan, String name, long workspace) {}

    private final Device device;
    private final Cudnn cudnn;
    private final ConvProblem problem;
    private final Deque<MemorySegment> owned = new ArrayDeque<>();
    private final MemorySegment graph;
    private final List<Candidate> candidates = new ArrayList<>();

    /** Describes the problem; {@link #candidates} is empty if cuDNN has no engine for it. */
    ConvPlan(Device device, ConvProblem problem, boolean tf32) {
        this.device = device;
        this.cudnn = device.libraries.cudnn();
        this.problem = problem;
        try {
            this.graph = graph();
            if (graph == null) return;
            for (int mode : MODES) {
                search(mode, tf32);
                if (!candidates.isEmpty()) return;
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    List<Candidate> candidates() { return candidates; }

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
        DType activations = problem.direction() == ConvProblem.Direction.WEIGHTS ? problem.type() : problem.result();
        descriptor(op, d.x, tensor(X, problem.x(), activations));
        descriptor(op, d.w, tensor(W, problem.w(), problem.weightType()));
        descriptor(op, d.y, tensor(Y, problem.y(), activations));
        if (!cudnn.finishIfSupported(op)) return null;
        MemorySegment g = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        cudnn.setPointers(g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, device.cudnn);
        descriptor(g, CUDNN_ATTR_OPERATIONGRAPH_OPS, op);
        return cudnn.finishIfSupported(g) ? g : null;
    }

    private void descriptor(MemorySegment of, int attribute, MemorySegment value) {
        cudnn.setPointers(of, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, value);
    }

    /** Channels-last strides of a logical NC... shape. */
    private MemorySegment tensor(long id, Shape shape, DType type) {
        final long alignment = 16;
        MemorySegment t = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        long[] dims = new long[shape.rank()];
        long[] strides = new long[shape.rank()];
        strides[1] = 1;
        long step = shape.dim(1);
        for (int i = shape.rank() - 1; i >= 0; i--) {
            dims[i] = shape.dim(i);
            if (i == 1) continue;
            strides[i] = step;
            step *= i == 0 ? 1 : shape.dim(i);
        }
        strides[0] = shape.elementsFrom(1);
        cudnn.setInt(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, code(type));
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_DIMENSIONS, dims);
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_STRIDES, strides);
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
        cudnn.setLongs(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment);
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

    private void search(int mode, boolean tf32) {
        MemorySegment heuristics = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
        descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
        cudnn.setInt(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
        if (!cudnn.finishIfSupported(heuristics)) return;
        List<MemorySegment> found = cudnn.getDescriptors(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, MOST_CONFIGURATIONS);
        found.forEach(owned::push);
        for (int i = 0; i < found.size(); i++) {
            MemorySegment engine = cudnn
                    .getDescriptors(found.get(i), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1)
                    .getFirst();
            owned.push(engine);
            if (isWanted(engine, tf32)) offer(found.get(i), name(mode, i, engine));
        }
    }

    private String name(int mode, int place, MemorySegment engine) {
        char letter = mode == CUDNN_HEUR_MODE_A ? 'A' : mode == CUDNN_HEUR_MODE_B ? 'B' : 'F';
        return letter + "" + place + " engine " + cudnn.getLong(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
    }

    /** The same input must give the same bits, and float32 means float32 unless TF32 was asked for. */
    private boolean isWanted(MemorySegment engine, boolean tf32) {
        int[] notes = cudnn.getInts(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
        for (int note : notes) {
            if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC
                    || note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
                return false;
            if (note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS && problem.type() == DType.F32 && !tf32) return false;
        }
        return true;
    }

    private void offer(MemorySegment configuration, String name) {
        MemorySegment plan = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        cudnn.setPointers(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, device.cudnn);
        descriptor(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
        if (!cudnn.finishIfSupported(plan)) return;
        candidates.add(new Candidate(plan, name, cudnn.getLong(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)));
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
        cudnn.execute(device.cudnn, candidate.plan, pack);
    }

    @Override
    public void close() {
        while (!owned.isEmpty())
            cudnn.destroyDescriptor(owned.pop());
    }
}
