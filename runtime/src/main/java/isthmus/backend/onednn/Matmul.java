package isthmus.backend.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_BIAS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DST;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_SRC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_WEIGHTS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_SRC_MD;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_WEIGHTS_MD;

import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.PrimitiveDescs;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * {@code C [m,n] = A [m,k] B [k,n] (+ bias [n])} with A and B in any strides and float32 or bf16: an operand that has not the
 * type that is computed in, or a layout that oneDNN has no fast kernel for, is first copied to scratch memory.
 */
final class Matmul {
    /** One operand: where it lies is said when binding. */
    record Operand(DType type, long rows, long columns, long rowStride, long columnStride) {
        static Operand rowMajor(DType type, long rows, long columns) {
            return new Operand(type, rows, columns, columns, 1);
        }

        static Operand transposed(DType type, long rows, long columns) {
            return new Operand(type, rows, columns, 1, rows);
        }

        private MemorySegment desc(DnnlKernel k) {
            return k.dnnl.strided(k.handles, type, new long[]{rows, columns}, rowStride, columnStride);
        }
    }

    /** An operand on its way into the product. */
    private static final class Source {
        private final MemorySegment given;
        private MemorySegment wanted;
        private DnnlCall copy;
        private long at;

        Source(MemorySegment given) {
            this.given = given;
            this.wanted = given;
        }

        void copyTo(DnnlKernel kernel, MemorySegment layout) {
            wanted = layout;
            copy = DnnlCall.reorder(kernel, given, layout);
            at = kernel.reserve(OneDnn.memoryDescGetSize(layout));
        }

        MemorySegment bind(MemorySegment memory, MemorySegment scratch) {
            if (copy == null) return memory;
            copy.bindReorder(given, memory, wanted, scratch.asSlice(at), scratch);
            return scratch.asSlice(at);
        }

        void run() { if (copy != null) copy.run(); }
    }

    private final Source a;
    private final Source b;
    private final MemorySegment c;
    private final MemorySegment bias;
    private final DnnlCall call;

    private Matmul(Source a, Source b, MemorySegment c, MemorySegment bias, DnnlCall call) {
        this.a = a;
        this.b = b;
        this.c = c;
        this.bias = bias;
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
            boolean anyA = a.type != compute || (attempt & 1) != 0;
            boolean anyB = b.type != compute || (attempt & 2) != 0;
            Source sa = new Source(a.desc(k));
            Source sb = new Source(b.desc(k));
            MemorySegment la = anyA ? k.dnnl.any(k.handles, new long[]{a.rows, a.columns}, compute) : sa.given;
            MemorySegment lb = anyB ? k.dnnl.any(k.handles, new long[]{b.rows, b.columns}, compute) : sb.given;
            Optional<MemorySegment> pd = Dnnl.fast(k.handles,
                    () -> PrimitiveDescs.matmul(k.dnnl.engine, la, lb, biasLayout, cLayout, k.dnnl.attributes));
            if (pd.isEmpty()) continue;
            DnnlCall call = new DnnlCall(k, pd.get());
            if (anyA) sa.copyTo(k, call.query(DNNL_QUERY_SRC_MD));
            if (anyB) sb.copyTo(k, call.query(DNNL_QUERY_WEIGHTS_MD));
            return Optional.of(new Matmul(sa, sb, cLayout, biasLayout, call));
        }
        return Optional.empty();
    }

    void bind(MemorySegment aAt, MemorySegment bAt, MemorySegment cAt, MemorySegment biasAt, MemorySegment scratch) {
        call.arg(DNNL_ARG_SRC, a.wanted, a.bind(aAt, scratch)).arg(DNNL_ARG_WEIGHTS, b.wanted, b.bind(bAt, scratch))
                .arg(DNNL_ARG_DST, c, cAt);
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
