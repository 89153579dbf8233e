package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Kernel;
import isthmus.op.Linear;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;

/** Fully connected layers by cuBLASLt; float32 operands become the compute type before. */
final class Linears {
    private static final long ALIGNMENT = 256;

    private Linears() {}

    static Kernel forward(Device d, Node n, Function<Value, DType> types) {
        DType type = types.apply(n.in(0));
        DType result = types.apply(n.out(0));
        Shape x = n.in(0).shape();
        Shape w = n.in(1).shape();
        // The library adds a float32 bias to float32 results only.
        boolean bias = n.inputs().size() > 2;
        boolean epilogue = bias && result == DType.F32;
        Product p = new Product(d, matrix(x, type, false), matrix(w, type, true), result, epilogue);
        long copy = ComputeCopy.bytes(n.in(1), type);
        return new CudaKernel(d, "cublasLt", copy + p.workspace(), (a, to) -> {
            MemorySegment weights = ComputeCopy.of(n.in(1), type, a, d, to);
            if (epilogue) p.bias(a.of(n.in(2)));
            to.add(p.call(a.of(n.in(0)), weights, a.of(n.out(0)), rest(a.scratch(), copy)));
            if (bias && !epilogue)
                to.add("add_bias", suffix(result), Grid.over(n.out(0).shape().elements(), d), a.of(n.out(0)),
                        a.of(n.in(2)), a.of(n.out(0)), (long) x.dim(0), (long) w.dim(0));
        }, p::close);
    }

    static Kernel backwardData(Device d, Node n, Function<Value, DType> types) {
        DType given = types.apply(n.in(0));
        DType type = types.apply(n.out(0));
        Shape dy = n.in(0).shape();
        Shape w = n.in(1).shape();
        Product p = new Product(d, matrix(dy, type, false), matrix(w, type, false), type, false);
        long weights = ComputeCopy.bytes(n.in(1), type);
        long gradient = given == type ? 0 : copyBytes(dy, type);
        return new CudaKernel(d, "cublasLt", weights + gradient + p.workspace(), (a, to) -> {
            MemorySegment right = ComputeCopy.of(n.in(1), type, a, d, to);
            MemorySegment left = inType(d, to, a.of(n.in(0)), dy, given, type, rest(a.scratch(), weights));
            to.add(p.call(left, right, a.of(n.out(0)), rest(a.scratch(), weights + gradient)));
        }, p::close);
    }

    static Kernel backwardWeights(Device d, Node n, Function<Value, DType> types) {
        DType type = types.apply(n.in(0));
        DType given = types.apply(n.in(1));
        Shape x = n.in(0).shape();
        Shape dy = n.in(1).shape();
        Product p = new Product(d, matrix(dy, type, true), matrix(x, type, false), DType.F32, false);
        long gradient = given == type ? 0 : copyBytes(dy, type);
        long columns = dy.dim(1);
        return new CudaKernel(d, "cublasLt", gradient + p.workspace(), (a, to) -> {
            MemorySegment left = inType(d, to, a.of(n.in(1)), dy, given, type, a.scratch());
            to.add(p.call(left, a.of(n.in(0)), a.of(n.out(0)), rest(a.scratch(), gradient)));
            if (n.outputs().size() > 1)
                to.add("column_sum", suffix(given), Grid.columns(columns, 1), a.of(n.in(1)), columns, a.of(n.out(1)),
                        (long) dy.dim(0), columns);
        }, p::close);
    }

    private static Product.Matrix matrix(Shape s, DType type, boolean transposed) {
        return new Product.Matrix(s.dim(0), s.elementsFrom(1), type, transposed);
    }

    /** The operand itself, or its copy in the type asked for. */
    private static MemorySegment inType(Device d, Launches to, MemorySegment x, Shape s, DType from, DType type,
            MemorySegment copy) {
        if (from == type) return x;
        to.add("convert", suffix(from) + suffix(type), Grid.over(s.elements(), d), x, copy, s.elements());
        return copy;
    }

    private static long copyBytes(Shape s, DType type) {
        if (type == DType.F32) return 0;
        return (s.elements() * type.bytes() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    private static MemorySegment rest(MemorySegment scratch, long from) {
        return scratch.address() == 0 ? scratch : MemorySegment.ofAddress(scratch.address() + from);
    }
}
