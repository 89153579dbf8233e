package isthmus.backend.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE_BF16;

import isthmus.backend.Backend;
import isthmus.backend.Kernel;
import isthmus.backend.NormRows;
import isthmus.backend.Precision;
import isthmus.backend.Shelf;
import isthmus.bindings.NativeMemory;
import isthmus.bindings.onednn.OneDnn;
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
import isthmus.op.LossScale;
import isthmus.op.MaxPool;
import isthmus.op.Measured;
import isthmus.op.Multiply;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Normalized;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Settled;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.StochasticDepth;
import isthmus.op.SmoothL1;
import isthmus.op.UpdateStatistics;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** The CPU backend: a table from op to lowering. */
final class CpuBackend implements Backend {
    /** Makes the kernel of a node, or nothing. */
    private interface Lowering {
        Optional<Kernel> lower(Dnnl dnnl, Node node, Function<Value, DType> types);
    }

    private static final Map<Class<? extends Op>, Lowering> LOWERINGS = Map.ofEntries(
            Map.entry(Conv.class, CpuBackend::conv),
            Map.entry(Conv.BackwardData.class, CpuBackend::convBackwardData),
            Map.entry(Conv.BackwardWeights.class, CpuBackend::convBackwardWeights),
            Map.entry(Measured.class, (d, n, t) -> joined(d, n, Operands.of(n).op())),
            Map.entry(Settled.class, (d, n, t) -> joined(d, n, Operands.of(n).op())),
            Map.entry(Normalized.class, (d, n, t) -> joined(d, n, Operands.of(n).op())),
            Map.entry(Normalized.Gradient.class, (d, n, t) -> joined(d, n, Operands.of(n).op())),
            Map.entry(Normalized.Settle.class, own(NormKernels::settle)),
            Map.entry(Linear.class, LinearKernels::forward),
            Map.entry(Linear.BackwardData.class, LinearKernels::backwardData),
            Map.entry(Linear.BackwardWeights.class, LinearKernels::backwardWeights),
            Map.entry(ChannelStatistics.class, own(NormKernels::statistics)),
            Map.entry(UpdateStatistics.class, own(NormKernels::update)),
            Map.entry(Normalize.class, own(NormKernels::forward)),
            Map.entry(Normalize.BackwardPass.class, own(NormKernels::backward)),
            Map.entry(Normalize.FrozenBackwardPass.class, own(NormKernels::frozenBackward)),
            Map.entry(GatedNorm.Means.class, own(GatedNormKernels::means)),
            Map.entry(GatedNorm.Scaled.class, own(GatedNormKernels::scaled)),
            Map.entry(GatedNorm.Factors.class, own(GatedNormKernels::factors)),
            Map.entry(GatedNorm.BackwardPass.class, own(GatedNormKernels::backward)),
            Map.entry(GroupNorm.class, own(NormKernels::group)),
            Map.entry(GroupNorm.Again.class, own(NormKernels::groupAgain)),
            Map.entry(GroupNorm.BackwardPass.class, own(NormKernels::groupBackward)),
            Map.entry(Relu.class, own(OwnKernels::relu)),
            Map.entry(Relu.BackwardPass.class, own(OwnKernels::reluBackward)),
            Map.entry(Add.class, own(OwnKernels::add)),
            Map.entry(Multiply.class, own(OwnKernels::multiply)),
            Map.entry(Dropout.class, own(OwnKernels::dropout)),
            Map.entry(StochasticDepth.class, own(Activations::stochasticDepth)),
            Map.entry(Sigmoid.class, own(Activations::sigmoid)),
            Map.entry(Sigmoid.BackwardPass.class, own(Activations::sigmoidBackward)),
            Map.entry(Silu.class, own(Activations::silu)),
            Map.entry(Silu.BackwardPass.class, own(Activations::siluBackward)),
            Map.entry(Concat.class, own(Channels::concat)),
            Map.entry(Concat.Slice.class, own(Channels::slice)),
            Map.entry(Scale.class, own(Channels::scale)),
            Map.entry(Scale.BackwardPass.class, own(Channels::scaleBackward)),
            Map.entry(Cast.class, own(OwnKernels::cast)),
            Map.entry(WarpAffine.class, own(OwnKernels::warpAffine)),
            Map.entry(Flatten.class, own(OwnKernels::flatten)),
            Map.entry(Flatten.BackwardPass.class, own(OwnKernels::flattenBackward)),
            Map.entry(LossScale.class, own(OwnKernels::lossScale)),
            Map.entry(MaxPool.class, own(PoolKernels::max)),
            Map.entry(MaxPool.BackwardPass.class, own(PoolKernels::maxBackward)),
            Map.entry(AvgPool.class, own(PoolKernels::average)),
            Map.entry(AvgPool.BackwardPass.class, own(PoolKernels::averageBackward)),
            Map.entry(GlobalAvgPool.class, own(PoolKernels::global)),
            Map.entry(GlobalAvgPool.BackwardPass.class, own(PoolKernels::globalBackward)),
            Map.entry(Upsample.class, own(UpsampleLowering::forward)),
            Map.entry(Upsample.BackwardPass.class, own(UpsampleLowering::backward)),
            Map.entry(CrossEntropy.class, own(LossLowering::crossEntropy)),
            Map.entry(DiceCrossEntropy.class, own(LossLowering::diceCrossEntropy)),
            Map.entry(SmoothL1.class, own(LossLowering::smoothL1)),
            Map.entry(DetectionLoss.class, own(LossLowering::detection)),
            Map.entry(Focal.class, own(LossLowering::focal)),
            Map.entry(BceWithLogits.class, own(LossLowering::bceWithLogits)));

    /** Programs whose kernels are kept for later: a trainer's, its partial batch's, its evaluation's, of two models. */
    private static final int SHELVED = 6;

    private final int threads;
    private final Dnnl dnnl;
    private final Shelf shelf = new Shelf(SHELVED);

    CpuBackend(int threads) {
        if (threads < 1)
            throw new IllegalArgumentException("the CPU backend needs at least one thread, not " + threads);
        this.threads = threads;
        OneDnn.ompSetNumThreads(threads);
        this.dnnl = new Dnnl(threads);
    }

    private static Lowering own(java.util.function.BiFunction<Node, Function<Value, DType>, Kernel> make) {
        return (dnnl, node, types) -> Optional.of(make.apply(node, types));
    }

    private static Optional<Kernel> conv(Dnnl dnnl, Node n, Function<Value, DType> types) {
        Conv op = (Conv) n.op();
        if (OwnConv.isDepthwise(op.window(), op.groups(), n.in(1).shape()))
            return Optional.of(OwnConv.DEPTHWISE.forward(n, types));
        return ConvKernels.forward(dnnl, n, types);
    }

    private static Optional<Kernel> convBackwardData(Dnnl dnnl, Node n, Function<Value, DType> types) {
        Conv.BackwardData op = (Conv.BackwardData) n.op();
        if (OwnConv.isDepthwise(op.window(), op.groups(), n.in(1).shape()))
            return Optional.of(OwnConv.DEPTHWISE.backwardData(n, types));
        return ConvKernels.backwardData(dnnl, n, types);
    }

    private static Optional<Kernel> convBackwardWeights(Dnnl dnnl, Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        if (OwnConv.isDepthwise(op.window(), op.groups(), op.weight()))
            return Optional.of(OwnConv.DEPTHWISE.backwardWeights(n, types));
        return ConvKernels.backwardWeights(dnnl, n, types);
    }

    private static Optional<Kernel> joined(Dnnl dnnl, Node n, Op op) {
        return Optional.of(switch (op) {
            case MaxPool p -> PoolKernels.normalized(n, p);
            case MaxPool.BackwardPass p -> PoolKernels.normalizedBackward(n, p);
            case AvgPool p -> PoolKernels.normalized(n, p);
            case AvgPool.BackwardPass p -> PoolKernels.normalizedBackward(n, p);
            default -> ConvKernels.joined(n, op, dnnl.threads);
        });
    }

    @Override
    public String name() { return "cpu"; }

    @Override
    public Optional<Kernel> prepare(Node node, Function<Value, DType> types) {
        Lowering lowering = LOWERINGS.get(node.op().getClass());
        if (lowering == null) return Optional.empty();
        Optional<DType> half = stored(node, types);
        if (half.isEmpty()) return lowering.lower(dnnl, node, types);
        return lowering.lower(dnnl, node, HalfStorage.inFloat32(types, half.get()))
                .map(k -> new HalfStorage(k, node, types, half.get()));
    }

    @Override
    public boolean lowers(Op op) { return LOWERINGS.containsKey(op.getClass()); }

    private static Optional<DType> stored(Node node, Function<Value, DType> types) {
        return HalfStorage.of(node, types, Dnnl.may(DNNL_CPU_ISA_AVX512_CORE));
    }

    @Override
    public boolean joinsNorm(Normalize norm, Node reader, Precision precision) {
        return precision == Precision.BF16 && switch (reader.op()) {
            case Conv c -> ConvKernels.joinsNorm(reader);
            case AvgPool p -> PoolKernels.joinsNorm(p, reader.in(0).shape());
            case MaxPool p -> PoolKernels.joinsNorm(p, norm, reader.in(0).shape());
            default -> false;
        };
    }

    @Override
    public boolean settles(Node node, int operand, Precision precision) {
        return precision == Precision.BF16 && ConvKernels.settles(node, operand);
    }

    @Override
    public boolean measures(Node node, Precision precision) {
        return precision == Precision.BF16 && ConvKernels.measures(node);
    }

    @Override
    public boolean takesRowsApart(Node node, Value value, Function<Value, DType> types) {
        if (stored(node, types).isPresent()) return false;
        return node.op() instanceof Concat || node.op() instanceof Concat.Slice
                || NormRows.takesRowsApart(node, value) || ConvKernels.writesRowsApart(node, value, types);
    }

    @Override
    public int overwritten(Node node, Function<Value, DType> types) {
        return stored(node, types).isPresent() ? -1 : NormRows.overwritten(node);
    }

    @Override
    public MemorySegment allocate(long bytes, Arena arena) { return NativeMemory.allocate(bytes, arena); }

    @Override
    public long freeBytes() { return HostMemory.free(); }

    /** oneDNN converts bf16 to float32 and back where the processor has no products of it. */
    @Override
    public Optional<String> halfProblem() {
        return Dnnl.may(DNNL_CPU_ISA_AVX512_CORE_BF16)
                ? Optional.empty()
                : Optional.of("this CPU has no bf16 products (AVX-512 BF16 or AMX), or oneDNN may not use them");
    }

    /** OpenMP's thread count belongs to the calling thread. */
    @Override
    public void enter() { OneDnn.ompSetNumThreads(threads); }

    @Override
    public Optional<Shelf> shelf() { return Optional.of(shelf); }

    @Override
    public void close() {
        shelf.close();
        dnnl.close();
    }
}
