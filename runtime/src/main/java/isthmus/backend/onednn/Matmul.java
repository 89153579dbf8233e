package isthmus.backend.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_BIAS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DST;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_SRC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_WEIGHTS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_SRC_MD;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_WEIGHTS_MD;

import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.PrimitiveDescs;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * {@code C [m,n] = A [m,k] B [k,n] (+ bias [n])} with A and B in any strides and float32 or bf16. An operand that has not the
 * type that is computed in is first converted where its numbers stand, to scratch memory: for few rows that is three times
 * as fast as oneDNN's own change of type and layout in one, because weights are read once and in order. Where oneDNN has no
 * fast kernel for a layout, the operand is copied to one that it has.
 */
final class Matmul {
    /** One operand, dense: where it lies is said when binding. */
    record Operand(DType type, long rows, long columns, long rowStride, long columnStride) {
        static Operand rowMajor(DType type, long rows, long columns) {
            return new Operand(type, rows, columns, columns, 1);
        }

        static Operand transposed(DType type, long rows, long columns) {
            return new Operand(type, rows, columns, 1, rows);
        }

        Operand as(DType other) { return new Operand(other, rows, columns, rowStride, columnStride); }

        long elements() { return rows * columns; }

        private MemorySegment desc(DnnlKernel k) {
            return k.dnnl.strided(k.handles, type, new long[]{rows, columns}, rowStride, columnStride);
        }
    }

    /** An operand on its way into the product: as it lies, converted, or copied to a layout that the product chose. */
    private static final class Source {
        private final DnnlKernel kernel;
        private final Operand given;
        private final MemorySegment givenLayout;
        private MemorySegment wanted;
        private DnnlCall reorder;
        private Runnable copy;
        private long at = -1;

        /** In the type that is computed in, or in any layout of that type. */
        Source(DnnlKernel kernel, Operand given, DType compute, boolean any) {
            this.kernel = kernel;
            this.given = given;
            this.givenLayout = given.desc(kernel);
            if (any) wanted = kernel.dnnl.any(kernel.handles, new long[]{given.rows, given.columns}, compute);
            else if (given.type == compute) wanted = givenLayout;
            else {
                wanted = given.as(compute).desc(kernel);
                at = kernel.reserve(given.elements() * compute.bytes());
            }
        }

        /** The layout that the product chose. */
        void reorderTo(MemorySegment layout) {
            wanted = layout;
            reorder = DnnlCall.reorder(kernel, givenLayout, layout);
            at = kernel.reserve(OneDnn.memoryDescGetSize(layout));
        }

        MemorySegment bind(MemorySegment memory, MemorySegment scratch, DType compute) {
            if (at < 0) return memory;
            MemorySegment into = scratch.asSlice(at);
            if (reorder == null) {
                int from = OwnKernels.code(given.type);
                int to = OwnKernels.code(compute);
                long n = given.elements();
                copy = () -> Kernels.convert(from, memory, to, into, n);
            } else {
                reorder.bindReorder(givenLayout, memory, wanted, into, scratch);
                copy = reorder::run;
            }
            return into;
        }

        void run() { if (copy != null) copy.run(); }
    }

    private final Source a;
    private final Source b;
    private final MemorySegment c;
    private final MemorySegment bias;
    private final DType compute;
    private final DnnlCall call;

    private Matmul(Source a, Source b, MemorySegment c, MemorySegment bias, DType compute, DnnlCall call) {
        this.a = a;
        this.b = b;
        this.c = c;
        this.bias = bias;
        this.compute = compute;
        this.call = call;
    }

    /**
     * Prepares a product.
     *
     * @param compute type of both operands while multiplying
     */
    static Optional<Matmul> prepare(DnnlKernel k, Operand a, Operand b, Operand c, boolean bias, DType compute) {
        MemorySegment cLayout = c.desc(k);
        MemorySegment biasLayout = bias
                ? k.dnnl.strided(k.handles, DType.F32, new long[]{1, c.columns}, c.columns, 1)
                : MemorySegment.NULL;
        for (int attempt = 0; attempt < 4; attempt++) {
            boolean anyA = (attempt & 1) != 0;
            boolean anyB = (attempt & 2) != 0;
            Source sa = new Source(k, a, compute, anyA);
            Source sb = new Source(k, b, compute, anyB);
            Optional<MemorySegment> pd = Dnnl.fast(k.handles, () -> PrimitiveDescs.matmul(k.dnnl.engine, sa.wanted,
                    sb.wanted, biasLayout, cLayout, k.dnnl.attributes));
            if (pd.isEmpty()) continue;
            DnnlCall call = new DnnlCall(k, pd.get());
            if (anyA) sa.reorderTo(call.query(DNNL_QUERY_SRC_MD));
            if (anyB) sb.reorderTo(call.query(DNNL_QUERY_WEIGHTS_MD));
            return Optional.of(new Matmul(sa, sb, cLayout, biasLayout, compute, call));
        }
        return Optional.empty();
    }

    void bind(MemorySegment aAt, MemorySegment bAt, MemorySegment cAt, MemorySegment biasAt, MemorySegment scratch) {
        call.arg(DNNL_ARG_SRC, a.wanted, a.bind(aAt, scratch, compute))
                .arg(DNNL_ARG_WEIGHTS, b.wanted, b.bind(bAt, scratch, compute)).arg(DNNL_ARG_DST, c, cAt);
        if (bias.address() != 0) call.arg(DNNL_ARG_BIAS, bias, biasAt);
        call.scratch(scratch);
    }

    void run() {
        a.run();
        b.run();
        call.run();
    }

    String implementation() { return "onednn " + call.implementation(); }
}
