package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.backend.onednn.Matmul.Operand;
import isthmus.bindings.kernels.Kernels;
import isthmus.op.Linear;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Function;

/** Linear layers as matrix products. The compute type is that of x, or of dx: logits and their gradients stay float32. */
final class LinearKernels {
    private LinearKernels() {}

    static Optional<Kernel> forward(Dnnl dnnl, Node n, Function<Value, DType> types) {
        long rows = n.in(0).shape().dim(0);
        long in = n.in(0).shape().dim(1);
        long out = n.out(0).shape().dim(1);
        DType type = types.apply(n.in(0));
        boolean bias = ((Linear) n.op()).bias();
        return product(new Product(dnnl, n, 0, 1, bias ? 2 : -1),
                k -> Matmul.prepare(k, Operand.rowMajor(type, rows, in),
                        Operand.transposed(DType.F32, in, out), Operand.rowMajor(types.apply(n.out(0)), rows, out),
                        bias,
                        type));
    }

    static Optional<Kernel> backwardData(Dnnl dnnl, Node n, Function<Value, DType> types) {
        long rows = n.in(0).shape().dim(0);
        long in = n.out(0).shape().dim(1);
        long out = n.in(0).shape().dim(1);
        DType type = types.apply(n.out(0));
        return product(new Product(dnnl, n, 0, 1, -1),
                k -> Matmul.prepare(k, Operand.rowMajor(types.apply(n.in(0)), rows, out),
                        Operand.rowMajor(DType.F32, out, in), Operand.rowMajor(type, rows, in), false, type));
    }

    static Optional<Kernel> backwardWeights(Dnnl dnnl, Node n, Function<Value, DType> types) {
        long rows = n.in(0).shape().dim(0);
        long in = n.in(0).shape().dim(1);
        long out = n.in(1).shape().dim(1);
        DType type = types.apply(n.in(0));
        boolean bias = ((Linear.BackwardWeights) n.op()).bias();
        return product(new Product(dnnl, n, 1, 0, -1) {
            private MemorySegment dy;
            private MemorySegment db;

            @Override
            public void bind(Addresses a) {
                super.bind(a);
                dy = a.of(n.in(1));
                db = bias ? a.of(n.out(1)) : MemorySegment.NULL;
            }

            @Override
            public void run() {
                super.run();
                if (bias) Kernels.columnSum(OwnKernels.code(types.apply(n.in(1))), dy, out, db, rows, out);
            }
        }, k -> Matmul.prepare(k, Operand.transposed(types.apply(n.in(1)), out, rows), Operand.rowMajor(type, rows, in),
                Operand.rowMajor(DType.F32, out, in), false, type));
    }

    private static Optional<Kernel> product(Product kernel, Function<DnnlKernel, Optional<Matmul>> prepare) {
        Optional<Matmul> matmul = prepare.apply(kernel);
        if (matmul.isEmpty()) {
            kernel.close();
            return Optional.empty();
        }
        kernel.matmul = matmul.get();
        return Optional.of(kernel);
    }

    private static class Product extends DnnlKernel {
        private final Node n;
        private final int a;
        private final int b;
        private final int bias;
        private Matmul matmul;

        Product(Dnnl dnnl, Node n, int a, int b, int bias) {
            super(dnnl);
            this.n = n;
            this.a = a;
            this.b = b;
            this.bias = bias;
        }

        @Override
        public String implementation() { return matmul.implementation(); }

        @Override
        public void bind(Addresses at) {
            matmul.bind(at.of(n.in(a)), at.of(n.in(b)), at.of(n.out(0)),
                    bias < 0 ? MemorySegment.NULL : at.of(n.in(bias)), at.scratch());
        }

        @Override
        public void run() { matmul.run(); }
    }
}
