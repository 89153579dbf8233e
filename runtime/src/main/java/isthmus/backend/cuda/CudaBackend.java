package isthmus.backend.cuda;

import isthmus.backend.Backend;
import isthmus.backend.DeviceUpdate;
import isthmus.backend.Feed;
import isthmus.backend.Kernel;
import isthmus.backend.NormRows;
import isthmus.backend.Precision;
import isthmus.backend.WeightMath;
import isthmus.bindings.NativeMemory;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.BceWithLogits;
import isthmus.op.Cast;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.CrossEntropy;
import isthmus.op.DetectionLoss;
import isthmus.op.DiceCrossEntropy;
import isthmus.op.Dropout;
import isthmus.op.Flatten;
import isthmus.op.Focal;
import isthmus.op.GatedNorm;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Linear;
import isthmus.op.LinearRelu;
import isthmus.op.LossScale;
import isthmus.op.MaxPool;
import isthmus.op.Multiply;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.SmoothL1;
import isthmus.op.StochasticDepth;
import isthmus.op.UpdateStatistics;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.ToLongFunction;

/** The backend for NVIDIA GPUs: a table from op to lowering. */
final class CudaBackend implements Backend {
    /** Makes the kernel of a node. */
    interface Lowering {
        Kernel lower(Device device, Node node, Function<Value, DType> types);
    }

    /** The same of kernels that are made for how far rows are apart, too. */
    private interface Spaced {
        Kernel lower(Device device, Node node, Function<Value, DType> types, ToLongFunction<Value> strides);
    }

    /** System property: false makes all calls anew in every step instead of recording them once, for tools that look at each. */
    static final String GRAPHS = "isthmus.cuda.graphs";

    private static final Map<Class<? extends Op>, Spaced> SPACED = Map.of(
            Conv.class, Convolutions::forward,
            Conv.BackwardData.class, Convolutions::backwardData,
            Conv.BackwardWeights.class, Convolutions::backwardWeights);

    private static final Map<Class<? extends Op>, Lowering> LOWERINGS = Map.ofEntries(
            Map.entry(Linear.class, Linears::forward),
            Map.entry(LinearRelu.class, Linears::forwardRelu),
            Map.entry(Linear.BackwardData.class, Linears::backwardData),
            Map.entry(Linear.BackwardWeights.class, Linears::backwardWeights),
            Map.entry(ChannelStatistics.class, Norms::statistics),
            Map.entry(UpdateStatistics.class, Norms::update),
            Map.entry(Normalize.class, Norms::forward),
            Map.entry(Normalize.BackwardPass.class, Norms::backward),
            Map.entry(Normalize.FrozenBackwardPass.class, Norms::frozenBackward),
            Map.entry(GatedNorm.Means.class, Gates::means),
            Map.entry(GatedNorm.Scaled.class, Gates::scaled),
            Map.entry(GatedNorm.Factors.class, Gates::factors),
            Map.entry(GatedNorm.BackwardPass.class, Gates::backward),
            Map.entry(GroupNorm.class, Norms::group),
            Map.entry(GroupNorm.BackwardPass.class, Norms::groupBackward),
            Map.entry(Relu.class, Elementwise.plain("relu")),
            Map.entry(Relu.BackwardPass.class, Elementwise.plain("relu_backward")),
            Map.entry(Add.class, Elementwise.plain("add")),
            Map.entry(Sigmoid.class, Elementwise.plain("sigmoid")),
            Map.entry(Sigmoid.BackwardPass.class, Elementwise.plain("sigmoid_backward")),
            Map.entry(Silu.class, Elementwise.plain("silu")),
            Map.entry(Silu.BackwardPass.class, Elementwise.plain("silu_backward")),
            Map.entry(Multiply.class, Elementwise::multiply),
            Map.entry(Dropout.class, Elementwise::dropout),
            Map.entry(StochasticDepth.class, Elementwise::stochasticDepth),
            Map.entry(LossScale.class, Elementwise::lossScale),
            Map.entry(Cast.class, Elementwise::cast),
            Map.entry(WarpAffine.class, Elementwise::warpAffine),
            Map.entry(Flatten.class, Elementwise::flatten),
            Map.entry(Flatten.BackwardPass.class, Elementwise::flattenBackward),
            Map.entry(Concat.class, Elementwise::concat),
            Map.entry(Concat.Slice.class, Elementwise::slice),
            Map.entry(Scale.class, Elementwise::scale),
            Map.entry(Scale.BackwardPass.class, Elementwise::scaleBackward),
            Map.entry(MaxPool.class, Pools::max),
            Map.entry(MaxPool.BackwardPass.class, Pools::maxBackward),
            Map.entry(AvgPool.class, Pools::average),
            Map.entry(AvgPool.BackwardPass.class, Pools::averageBackward),
            Map.entry(GlobalAvgPool.class, Pools::global),
            Map.entry(GlobalAvgPool.BackwardPass.class, Pools::globalBackward),
            Map.entry(Upsample.class, Pools::upsample),
            Map.entry(Upsample.BackwardPass.class, Pools::upsampleBackward),
            Map.entry(CrossEntropy.class, Losses::crossEntropy),
            Map.entry(BceWithLogits.class, Losses::bceWithLogits),
            Map.entry(Focal.class, Losses::focal),
            Map.entry(SmoothL1.class, Losses::smoothL1),
            Map.entry(DetectionLoss.class, DetectionLosses::detection),
            Map.entry(DiceCrossEntropy.class, Losses::diceCrossEntropy));

    private final String name;
    private final Arena arena = Arena.ofShared();
    private final Device device;
    private final Twins twins;
    private final CudaMath math;

    CudaBackend(String name, CudaLibraries libraries, int index) {
        this.name = name;
        this.device = new Device(libraries, index);
        this.twins = new Twins(device);
        this.math = new CudaMath(device, twins, arena);
    }

    @Override
    public String name() { return name; }

    @Override
    public Optional<Kernel> prepare(Node node, Function<Value, DType> types) {
        return prepare(node, types, v -> Concat.channels(v.shape()));
    }

    @Override
    public Optional<Kernel> prepare(Node node, Function<Value, DType> types, ToLongFunction<Value> strides) {
        Spaced spaced = SPACED.get(node.op().getClass());
        if (spaced != null) return Optional.of(spaced.lower(device, node, types, strides));
        return Optional.ofNullable(LOWERINGS.get(node.op().getClass())).map(l -> l.lower(device, node, types));
    }

    @Override
    public boolean lowers(Op op) { return SPACED.containsKey(op.getClass()) || LOWERINGS.containsKey(op.getClass()); }

    @Override
    public boolean takesRowsApart(Node node, Value value, Function<Value, DType> types) {
        return Rows.mayBeApart(node, value);
    }

    @Override
    public int rowAlignment() { return Rows.ALIGNMENT; }

    @Override
    public int overwritten(Node node, Function<Value, DType> types) { return NormRows.overwritten(node); }

    @Override
    public MemorySegment allocate(long bytes, Arena owner) { return twins.allocate(bytes, owner); }

    @Override
    public MemorySegment workspace(long bytes, Arena owner) {
        return NativeMemory.view(MemorySegment.ofAddress(device.reserve(bytes, owner)), bytes);
    }

    @Override
    public boolean hasOwnMemory() { return true; }

    @Override
    public MemorySegment onDevice(MemorySegment shared) { return twins.device(shared); }

    @Override
    public void toDevice(MemorySegment shared) { twins.toDevice(shared); }

    @Override
    public void toHost(MemorySegment shared) { twins.toHost(shared); }

    @Override
    public void upload(MemorySegment shared) { twins.upload(shared); }

    @Override
    public void download(MemorySegment shared) { twins.download(shared); }

    @Override
    public Repeated repeatable(Runnable calls) {
        return Boolean.parseBoolean(System.getProperty(GRAPHS, "true")) ? new Recording(device, calls) : calls::run;
    }

    @Override
    public void synchronize() { device.synchronize(); }

    @Override
    public Stopwatch stopwatch() { return new EventStopwatch(device); }

    @Override
    public WeightMath math() { return math; }

    @Override
    public Optional<DeviceUpdate> deviceUpdate(DeviceUpdate.Plan plan, Arena owner) {
        return Optional.of(new CudaUpdate(device, twins, plan, owner));
    }

    @Override
    public Optional<Feed> feed(long[] bytes, Arena owner) {
        return Optional.of(new PinnedFeed(device, twins, bytes, owner));
    }

    @Override
    public Optional<MemorySegment> computeCopy(WeightBuffer weights, String parameter, DType type) {
        return twins.copy(weights, type).of(weights.table().entry(parameter));
    }

    @Override
    public Optional<String> loss() { return device.loss(); }

    @Override
    public Precision amp() { return Precision.F16; }

    @Override
    public long freeBytes() { return device.driver.freeMemory(); }

    @Override
    public Optional<String> halfProblem() { return Optional.empty(); }

    @Override
    public void enter() { device.enter(); }

    @Override
    public void close() {
        arena.close();
        device.close();
    }
}
