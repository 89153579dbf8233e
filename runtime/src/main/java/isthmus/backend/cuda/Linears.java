package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Kernel;
import isthmus.op.Linear;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Function;

/** Fully connected layers by cuBLASLt; float32 operands become the compute type before. */
final class Linears {
    private static final long ALIGNMENT = 256;
    /** Of which number of bytes the addresses of activations are multiples, at least. */
    private static final int ALIGNED = 16;

    private Linears() {}

    static Kernel forward(Device d, Node n, Function<Value, DType> types) {
        return forward(d, n, types, ((Linear) n.op()).bias() ? Product.Epilogue.BIAS : Product.Epilogue.NONE);
    }

    static Kernel forwardRelu(Device d, Node n, Function<Value, DType> types) {
        return forward(d, n, types, Product.Epilogue.BIAS_RELU);
    }

    private static Kernel forward(Device d, Node n, Function<Value, DType> types, Product.Epilogue epilogue) {
        DType type = types.apply(n.in(0));
        DType result = types.apply(n.out(0));
        Shape x = n.in(0).shape();
        Shape w = n.in(1).shape();
        boolean bias = epilogue != Product.Epilogue.NONE;
        Product p = Product.of(d, matrix(x, type, false), matrix(w, type, true),
                new Product.Result(result, ALIGNED, epilogue, result));
        long weights = ComputeCopy.bytes(n.in(1), type);
        // The library adds a bias of the result's type.
        long vector = bias ? copyBytes(n.in(2).shape(), result) : 0;
        return new CudaKernel(d, p.implementation(), weights + vector + p.workspace(), (a, to) -> {
            MemorySegment right = ComputeCopy.of(n.in(1), type, a, d, to);
            if (bias)
                p.bias(inType(d, to, a.of(n.in(2)), n.in(2).shape(), DType.F32, result, rest(a.scratch(), weights)));
            to.add(p.call(a.of(n.in(0)), right, a.of(n.out(0)), rest(a.scratch(), weights + vector)));
        }, p::close);
    }

    static Kernel backwardData(Device d, Node n, Function<Value, DType> types) {
        DType given = types.apply(n.in(0));
        DType type = types.apply(n.out(0));
        Shape dy = n.in(0).shape();
        Shape w = n.in(1).shape();
        Product p = Product.of(d, matrix(dy, type, false), matrix(w, type, false),
                new Product.Result(type, ALIGNED, Product.Epilogue.NONE, type));
        long weights = ComputeCopy.bytes(n.in(1), type);
        long gradient = given == type ? 0 : copyBytes(dy, type);
        return new CudaKernel(d, p.implementation(), weights + gradient + p.workspace(), (a, to) -> {
            MemorySegment right = ComputeCopy.of(n.in(1), type, a, d, to);
            MemorySegment left = inType(d, to, a.of(n.in(0)), dy, given, type, rest(a.scratch(), weights));
            to.add(p.call(left, right, a.of(n.out(0)), rest(a.scratch(), weights + gradient)));
        }, p::close);
    }

    static Kernel backwardWeights(Device d, Node n, Function<Value, DType> types) {
        DType type = types.apply(n.in(0));
        DType given = types.apply(n.in(1));
        Shape dy = n.in(1).shape();
        boolean bias = n.outputs().size() > 1;
        Product p = weightGradient(d, matrix(dy, type, true), matrix(n.in(0).shape(), type, false),
                bias && given == type);
        boolean together = p.epilogue() != Product.Epilogue.NONE;
        long gradient = given == type ? 0 : copyBytes(dy, type);
        long columns = dy.dim(1);
        return new CudaKernel(d, p.implementation(), gradient + p.workspace(), (a, to) -> {
            MemorySegment left = inType(d, to, a.of(n.in(1)), dy, given, type, a.scratch());
            if (together) p.bias(a.of(n.out(1)));
            to.add(p.call(left, a.of(n.in(0)), a.of(n.out(0)), rest(a.scratch(), gradient)));
            if (bias && !together)
                to.add("column_sum", suffix(given), Grid.columns(columns, 1), a.of(n.in(1)), columns, a.of(n.out(1)),
                        (long) dy.dim(0), columns);
        }, p::close);
    }

    /** With the bias' gradient if that is asked for and the library can do it; gradients lie anywhere in their buffer. */
    private static Product weightGradient(Device d, Product.Matrix dy, Product.Matrix x, boolean bias) {
        var plain = new Product.Result(DType.F32, Float.BYTES, Product.Epilogue.NONE, DType.F32);
        var both = new Product.Result(DType.F32, Float.BYTES, Product.Epilogue.BIAS_GRADIENT, DType.F32);
        return (bias ? Product.ifSupported(d, dy, x, both) : Optional.<Product>empty())
                .orElseGet(() -> Product.of(d, dy, x, plain));
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
