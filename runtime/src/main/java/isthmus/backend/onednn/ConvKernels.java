package isthmus.backend.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_BIAS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DIFF_BIAS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DIFF_DST;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DIFF_SRC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DIFF_WEIGHTS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DST;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_SRC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_WEIGHTS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CONVOLUTION_DIRECT;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_FORWARD_TRAINING;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_DIFF_WEIGHTS_MD;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_WEIGHTS_MD;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.PrimitiveDescs;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Op;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Convolutions by oneDNN: activations channels-last, weights in the layout that oneDNN chooses for the shape. The float32
 * master weights are converted on every step, and weight gradients are converted back: plain weights would run reference
 * code. Where oneDNN has nothing fast, our direct kernels serve; float32 goes forward through {@link DenseConv}, and what
 * {@link Winograd}, {@link PointwiseConv} and {@link StemConv} serve does not come to oneDNN at all.
 */
final class ConvKernels {
    private ConvKernels() {}

    static Optional<Kernel> forward(Dnnl dnnl, Node n, Function<Value, DType> types) {
        Conv op = (Conv) n.op();
        if (op.groups() == 1 && types.apply(n.in(0)) == DType.F32)
            return Optional.of(DenseConv.forward(n, dnnl.threads));
        if (Winograd.serves(op.window(), op.groups(), n.in(0), n.out(0), types))
            return Optional.of(WinogradConv.forward(n, dnnl.threads));
        if (types.apply(n.in(0)) == DType.BF16 && servesPointwise(op, n))
            return Optional.of(PointwiseConv.forward(n, dnnl.threads));
        if (types.apply(n.in(0)) == DType.BF16 && servesStem(op, n))
            return Optional.of(StemConv.forward(n, dnnl.threads));
        return fastOr(op.groups(), () -> new Forward(dnnl, n, types, op), () -> OwnConv.DIRECT.forward(n, types));
    }

    static Optional<Kernel> backwardData(Dnnl dnnl, Node n, Function<Value, DType> types) {
        Conv.BackwardData op = (Conv.BackwardData) n.op();
        if (Winograd.serves(op.window(), op.groups(), n.in(0), n.out(0), types))
            return Optional.of(WinogradConv.backwardData(n, dnnl.threads));
        if (types.apply(n.in(0)) == DType.BF16
                && PointwiseConv.serves(op.window(), op.groups(), op.x().dim(1), n.in(0).shape().dim(1)))
            return Optional.of(PointwiseConv.backwardData(n, dnnl.threads));
        return fastOr(op.groups(), () -> new BackwardData(dnnl, n, types, op),
                () -> OwnConv.DIRECT.backwardData(n, types));
    }

    static Optional<Kernel> backwardWeights(Dnnl dnnl, Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        if (Winograd.serves(op.window(), op.groups(), n.in(0), n.in(1), types)
                && Winograd.paysForWeights(n.in(1).shape(), op.weight()))
            return Optional.of(WinogradConv.backwardWeights(n, dnnl.threads));
        if (types.apply(n.in(0)) == DType.BF16 && types.apply(n.in(1)) == DType.BF16 && PointwiseConv
                .servesWeights(op.window(), op.groups(), n.in(0).shape().dim(1), n.in(1).shape().dim(1)))
            return Optional.of(PointwiseConv.backwardWeights(n, dnnl.threads));
        if (types.apply(n.in(0)) == DType.BF16 && types.apply(n.in(1)) == DType.BF16 && StemConv.serves(op.window(),
                op.groups(), op.bias(), n.in(0).shape(), n.in(1).shape()))
            return Optional.of(StemConv.backwardWeights(n, dnnl.threads));
        return fastOr(op.groups(), () -> new BackwardWeights(dnnl, n, types, op),
                () -> OwnConv.DIRECT.backwardWeights(n, types));
    }

    /** Whether our kernels of a convolution in bf16 and of both its gradients normalise on the way. */
    static boolean joinsNorm(Node n) {
        Conv op = (Conv) n.op();
        Value x = n.in(0);
        Value y = n.out(0);
        if (op.window().volume() == 1) return servesPointwise(op, n);
        return Winograd.serves(op.window(), op.groups(), x, y, v -> DType.BF16)
                && Winograd.paysForWeights(y.shape(), n.in(1).shape());
    }

    private static boolean servesPointwise(Conv op, Node n) {
        return PointwiseConv.serves(op.window(), op.groups(), n.in(0).shape().dim(1), n.out(0).shape().dim(1));
    }

    private static boolean servesStem(Conv op, Node n) {
        return StemConv.serves(op.window(), op.groups(), op.bias(), n.in(0).shape(), n.out(0).shape());
    }

    /** Whether our kernel of a node in bf16 takes the statistics of its result. */
    static boolean measures(Node n) {
        return Operands.of(n).op() instanceof Conv op && (servesPointwise(op, n) || servesStem(op, n)
                || Winograd.serves(op.window(), op.groups(), n.in(0), n.out(0), v -> DType.BF16));
    }

    /** Whether a value is what our kernel of a convolution, without a norm, writes at any distance of rows. */
    static boolean writesRowsApart(Node n, Value v, Function<Value, DType> types) {
        return Operands.of(n).op() instanceof Conv op && v.equals(n.out(0)) && types.apply(n.in(0)) == DType.BF16
                && (servesPointwise(op, n) || Winograd.serves(op.window(), op.groups(), n.in(0), v, types));
    }

    /** Whether our kernel of a node in bf16 settles that operand: dy. */
    static boolean settles(Node n, int operand) {
        Operands site = Operands.of(n);
        return switch (site.op()) {
            case Conv.BackwardData d -> n.in(operand).equals(site.dy()) && settles(d, site);
            case Conv.BackwardWeights w -> !w.bias() && n.in(operand).equals(site.operand(1)) && settles(w, site);
            default -> false;
        };
    }

    private static boolean settles(Conv.BackwardData d, Operands site) {
        Value dy = site.dy();
        if (d.window().volume() == 1)
            return PointwiseConv.serves(d.window(), d.groups(), d.x().dim(1), dy.shape().dim(1));
        return Winograd.serves(d.window(), d.groups(), dy, site.node().out(0), v -> DType.BF16);
    }

    private static boolean settles(Conv.BackwardWeights w, Operands site) {
        Shape x = site.x().shape();
        Shape y = site.operand(1).shape();
        if (w.window().volume() == 1) return PointwiseConv.servesWeights(w.window(), w.groups(), x.dim(1), y.dim(1));
        return StemConv.serves(w.window(), w.groups(), false, x, y) || (Winograd.paysForWeights(y, w.weight())
                && Winograd.serves(w.window(), w.groups(), site.x(), site.operand(1), v -> DType.BF16));
    }

    /** The kernel of an op that does more on the way, for what {@link #joinsNorm}, {@link #measures} and {@link #settles} allow. */
    static Kernel joined(Node n, Op op, int threads) {
        return switch (op) {
            case Conv c when StemConv.hasFew(n.in(0)) -> StemConv.forward(n, threads);
            case Conv c when c.window().volume() == 1 -> PointwiseConv.forward(n, threads);
            case Conv c -> WinogradConv.forward(n, threads);
            case Conv.BackwardData d when d.window().volume() == 1 -> PointwiseConv.backwardData(n, threads);
            case Conv.BackwardData d -> WinogradConv.backwardData(n, threads);
            case Conv.BackwardWeights w when StemConv.hasFew(n.in(0)) -> StemConv.backwardWeights(n, threads);
            case Conv.BackwardWeights w when w.window().volume() == 1 -> PointwiseConv.backwardWeights(n, threads);
            case Conv.BackwardWeights w -> WinogradConv.backwardWeights(n, threads);
            default -> throw new IllegalArgumentException(n + " does not normalise on the way");
        };
    }

    private static Optional<Kernel> fastOr(int groups, Supplier<Blocked> fast, Supplier<Kernel> direct) {
        if (groups == 1) {
            Blocked kernel = fast.get();
            if (kernel.call != null) return Optional.of(kernel);
            kernel.close();
        }
        return Optional.of(direct.get());
    }

    /** oneDNN's numbers of a window; it counts dilation from 0. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Geometry(long[] strides, long[] dilates, long[] padding) {
        static Geometry of(Window w) {
            return new Geometry(longs(w.stride(), 0), longs(w.dilation(), -1), longs(w.padding(), 0));
        }

        private static long[] longs(List<Integer> values, int plus) {
            return values.stream().mapToLong(v -> v + plus).toArray();
        }

        MemorySegment forward(Dnnl d, MemorySegment x, MemorySegment w, MemorySegment b, MemorySegment y) {
            return PrimitiveDescs.convolutionForward(d.engine, DNNL_FORWARD_TRAINING, DNNL_CONVOLUTION_DIRECT, x, w, b,
                    y, strides, dilates,
                    padding, padding, d.attributes);
        }
    }

    /** A convolution with one operand in oneDNN's own weight layout, in scratch memory. */
    private abstract static class Blocked extends DnnlKernel {
        DnnlCall call;
        DnnlCall reorder;
        MemorySegment plain;
        MemorySegment blocked;
        private long blockedAt;

        Blocked(Dnnl dnnl) { super(dnnl); }

        /** After {@code call} is known: room for the weights in its layout, and the copy to or from the master's. */
        final void convert(int query, Shape weights, boolean toBlocked) {
            plain = dnnl.rowMajor(handles, weights, DType.F32);
            blocked = call.query(query);
            blockedAt = reserve(OneDnn.memoryDescGetSize(blocked));
            reorder = toBlocked ? DnnlCall.reorder(this, plain, blocked) : DnnlCall.reorder(this, blocked, plain);
        }

        final MemorySegment blockedIn(MemorySegment scratch) { return scratch.asSlice(blockedAt); }

        @Override
        public final String implementation() { return "onednn " + call.implementation(); }
    }

    private static final class Forward extends Blocked {
        private final Node n;
        private final MemorySegment x;
        private final MemorySegment y;
        private final MemorySegment b;

        Forward(Dnnl dnnl, Node n, Function<Value, DType> types, Conv op) {
            super(dnnl);
            this.n = n;
            DType type = types.apply(n.in(0));
            x = dnnl.activation(handles, n.in(0).shape(), type);
            y = dnnl.activation(handles, n.out(0).shape(), types.apply(n.out(0)));
            b = op.bias() ? dnnl.rowMajor(handles, n.in(2).shape(), DType.F32) : MemorySegment.NULL;
            MemorySegment w = dnnl.any(handles, Dnnl.longs(n.in(1).shape()), type);
            Geometry g = Geometry.of(op.window());
            Dnnl.fast(handles, () -> g.forward(dnnl, x, w, b, y)).ifPresent(pd -> {
                call = new DnnlCall(this, pd);
                convert(DNNL_QUERY_WEIGHTS_MD, n.in(1).shape(), true);
            });
        }

        @Override
        public void bind(Addresses a) {
            MemorySegment scratch = a.scratch();
            reorder.bindReorder(plain, a.of(n.in(1)), blocked, blockedIn(scratch), scratch);
            call.arg(DNNL_ARG_SRC, x, a.of(n.in(0))).arg(DNNL_ARG_WEIGHTS, blocked, blockedIn(scratch))
                    .arg(DNNL_ARG_DST, y, a.of(n.out(0)));
            if (b.address() != 0) call.arg(DNNL_ARG_BIAS, b, a.of(n.in(2)));
            call.scratch(scratch);
        }

        @Override
        public void run() {
            reorder.run();
            call.run();
        }
    }

    private static final class BackwardData extends Blocked {
        private final Node n;
        private final MemorySegment dx;
        private final MemorySegment dy;

        BackwardData(Dnnl dnnl, Node n, Function<Value, DType> types, Conv.BackwardData op) {
            super(dnnl);
            this.n = n;
            DType type = types.apply(n.in(0));
            dy = dnnl.activation(handles, n.in(0).shape(), type);
            dx = dnnl.activation(handles, n.out(0).shape(), types.apply(n.out(0)));
            MemorySegment w = dnnl.any(handles, Dnnl.longs(n.in(1).shape()), type);
            Geometry g = Geometry.of(op.window());
            Optional<MemorySegment> hint = Dnnl.fast(handles, () -> g.forward(dnnl, dx, w, MemorySegment.NULL, dy));
            if (hint.isEmpty()) return;
            Dnnl.fast(handles,
                    () -> PrimitiveDescs.convolutionBackwardData(dnnl.engine, DNNL_CONVOLUTION_DIRECT, dx, w, dy,
                            g.strides,
                            g.dilates, g.padding, g.padding, hint.get(), dnnl.attributes))
                    .ifPresent(pd -> {
                        call = new DnnlCall(this, pd);
                        convert(DNNL_QUERY_WEIGHTS_MD, n.in(1).shape(), true);
                    });
        }

        @Override
        public void bind(Addresses a) {
            MemorySegment scratch = a.scratch();
            reorder.bindReorder(plain, a.of(n.in(1)), blocked, blockedIn(scratch), scratch);
            call.arg(DNNL_ARG_DIFF_DST, dy, a.of(n.in(0))).arg(DNNL_ARG_WEIGHTS, blocked, blockedIn(scratch))
                    .arg(DNNL_ARG_DIFF_SRC, dx, a.of(n.out(0))).scratch(scratch);
        }

        @Override
        public void run() {
            reorder.run();
            call.run();
        }
    }

    private static final class BackwardWeights extends Blocked {
        private final Node n;
        private final MemorySegment x;
        private final MemorySegment dy;
        private final MemorySegment db;

        BackwardWeights(Dnnl dnnl, Node n, Function<Value, DType> types, Conv.BackwardWeights op) {
            super(dnnl);
            this.n = n;
            DType type = types.apply(n.in(0));
            boolean planes = isPointwise(op.window()) && op.window().axes() == 3;
            Shape weight = planes ? Shape.of(op.weight().dim(0), op.weight().dim(1), 1, 1) : op.weight();
            long[] shape = Dnnl.longs(weight);
            x = dnnl.activation(handles, planes ? planes(n.in(0).shape()) : n.in(0).shape(), type);
            dy = dnnl.activation(handles, planes ? planes(n.in(1).shape()) : n.in(1).shape(), types.apply(n.in(1)));
            db = op.bias() ? dnnl.rowMajor(handles, n.out(1).shape(), DType.F32) : MemorySegment.NULL;
            MemorySegment w = dnnl.any(handles, shape, type);
            MemorySegment dw = dnnl.any(handles, shape, DType.F32);
            Geometry g = Geometry.of(planes ? Window.of(2, 1, 1, 0) : op.window());
            Optional<MemorySegment> hint = Dnnl.fast(handles, () -> g.forward(dnnl, x, w, MemorySegment.NULL, dy));
            if (hint.isEmpty()) return;
            Dnnl.fast(handles,
                    () -> PrimitiveDescs.convolutionBackwardWeights(dnnl.engine, DNNL_CONVOLUTION_DIRECT, x, dw, db, dy,
                            g.strides,
                            g.dilates, g.padding, g.padding, hint.get(), dnnl.attributes))
                    .ifPresent(pd -> {
                        call = new DnnlCall(this, pd);
                        convert(DNNL_QUERY_DIFF_WEIGHTS_MD, weight, false);
                    });
        }

        private static boolean isPointwise(Window w) { return w.equals(Window.of(w.axes(), 1, 1, 0)); }

        /** A volume's planes as samples: oneDNN copies one sample a thread before it sums over it. */
        private static Shape planes(Shape s) {
            return Shape.of(s.dim(0) * s.dim(2), s.dim(1), s.dim(3), s.dim(4));
        }

        @Override
        public void bind(Addresses a) {
            MemorySegment scratch = a.scratch();
            call.arg(DNNL_ARG_SRC, x, a.of(n.in(0))).arg(DNNL_ARG_DIFF_DST, dy, a.of(n.in(1)))
                    .arg(DNNL_ARG_DIFF_WEIGHTS, blocked, blockedIn(scratch));
            if (db.address() != 0) call.arg(DNNL_ARG_DIFF_BIAS, db, a.of(n.out(1)));
            call.scratch(scratch);
            reorder.bindReorder(blocked, blockedIn(scratch), plain, a.of(n.out(0)), scratch);
        }

        @Override
        public void run() {
            call.run();
            reorder.run();
        }
    }
}
