package isthmus.backend.cuda;

import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_EPILOGUE_BGRADB;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_EPILOGUE_BIAS;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_EPILOGUE_DEFAULT;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_EPILOGUE_RELU_BIAS;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_MATMUL_DESC_BIAS_POINTER;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_MATMUL_DESC_EPILOGUE;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_MATMUL_DESC_TRANSA;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_MATMUL_DESC_TRANSB;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLAS_COMPUTE_32F;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLAS_COMPUTE_32F_FAST_TF32;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLAS_OP_N;
import static isthmus.bindings.cublas.CublasLtConstants.CUBLAS_OP_T;
import static isthmus.bindings.cublas.CublasLtConstants.CUDA_R_16BF;
import static isthmus.bindings.cublas.CublasLtConstants.CUDA_R_16F;
import static isthmus.bindings.cublas.CublasLtConstants.CUDA_R_32F;

import isthmus.bindings.cublas.CublasLt;
import isthmus.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * A matrix product by cuBLASLt, {@code d[m,n] = op(a) op(b)}, all row-major: to cuBLASLt, whose matrices are column-major, it
 * is {@code d' = op(b)' op(a)'}. Owns its descriptions.
 */
final class Product implements AutoCloseable {
    private static final long WORKSPACE = 32L << 20;
    /** What memory plans and compute copies are aligned to at least; the library would count on 256. */
    private static final int OPERANDS = 16;

    /** A row-major operand as it lies in memory. */
    record Matrix(long rows, long columns, DType type, boolean transposed) {
        long outer() { return transposed ? columns : rows; }

        long inner() { return transposed ? rows : columns; }
    }

    /** What is done beside the product. */
    enum Epilogue {
        NONE(CUBLASLT_EPILOGUE_DEFAULT, ""), BIAS(CUBLASLT_EPILOGUE_BIAS,
                " with bias"), BIAS_RELU(CUBLASLT_EPILOGUE_RELU_BIAS, " with bias and ReLU"),
        /** The columns' sums of the left operand as it lies, transposed; see {@link Product#bias}. */
        BIAS_GRADIENT(CUBLASLT_EPILOGUE_BGRADB, " with bias gradient");

        final int code;
        final String text;

        Epilogue(int code, String text) {
            this.code = code;
            this.text = text;
        }
    }

    /**
     * The result of a product.
     *
     * @param alignment of which number of bytes its address is a multiple; that of what is read is 16 at least
     * @param vector element type of the epilogue's vector
     */
    record Result(DType type, int alignment, Epilogue epilogue, DType vector) {}

    private final Device device;
    private final CublasLt lt;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment desc;
    private final MemorySegment left;
    private final MemorySegment right;
    private final MemorySegment result;
    private final MemorySegment algorithm;
    private final MemorySegment one;
    private final MemorySegment zero;
    private final boolean supported;
    private final Epilogue epilogue;
    private final long workspace;

    private Product(Device device, Matrix a, Matrix b, Result r) {
        if (a.inner() != b.outer())
            throw new IllegalArgumentException("product: " + a + " and " + b + " do not fit");
        this.device = device;
        this.lt = device.libraries.cublasLt();
        this.epilogue = r.epilogue;
        boolean tf32 = a.type == DType.F32 && Boolean.getBoolean(Convolutions.TF32);
        desc = lt.createDesc(tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F);
        lt.setDesc(desc, CUBLASLT_MATMUL_DESC_TRANSA, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
        lt.setDesc(desc, CUBLASLT_MATMUL_DESC_TRANSB, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
        if (r.epilogue != Epilogue.NONE) {
            lt.setDesc(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, r.epilogue.code);
            lt.setDesc(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, code(r.vector));
            // The choice of an algorithm looks at how the vector is aligned; its address comes later.
            lt.setDesc(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, MemorySegment.ofAddress(r.vector.bytes()));
        }
        left = lt.createLayout(code(b.type), b.columns, b.rows, b.columns);
        right = lt.createLayout(code(a.type), a.columns, a.rows, a.columns);
        long n = b.transposed ? b.rows : b.columns;
        result = lt.createLayout(code(r.type), n, a.outer(), n);
        algorithm = arena.allocate(CublasLt.HEURISTIC_BYTES, Long.BYTES);
        one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
        zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
        supported = lt.heuristics(device.cublasLt, desc, left, right, result,
                new CublasLt.Limits(WORKSPACE, OPERANDS, r.alignment), algorithm, 1) > 0;
        workspace = algorithm.get(ValueLayout.JAVA_LONG, CublasLt.HEURISTIC_WORKSPACE);
    }

    /** The product; an error if the library has no algorithm for it. */
    static Product of(Device device, Matrix a, Matrix b, Result r) {
        return ifSupported(device, a, b, r).orElseThrow(() -> new IllegalStateException(
                "cuBLASLt has no algorithm on " + device.name + " for the product of " + a + " and " + b));
    }

    /** The product, if the library has an algorithm for it. */
    static Optional<Product> ifSupported(Device device, Matrix a, Matrix b, Result r) {
        Product p = new Product(device, a, b, r);
        if (p.supported) return Optional.of(p);
        p.close();
        return Optional.empty();
    }

    Epilogue epilogue() { return epilogue; }

    /** What runs it, in listings. */
    String implementation() { return "cublasLt" + epilogue.text; }

    private static int code(DType type) {
        return switch (type) {
            case F32 -> CUDA_R_32F;
            case F16 -> CUDA_R_16F;
            case BF16 -> CUDA_R_16BF;
            default -> throw new IllegalArgumentException("cuBLASLt multiplies no " + type);
        };
    }

    /** Bytes of scratch memory that it needs. */
    long workspace() { return workspace; }

    /** Where the epilogue's vector lies: the bias added to every row of the result, or the bias' gradient. */
    void bias(MemorySegment at) {
        lt.setDesc(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, MemorySegment.ofAddress(at.address()));
    }

    /** The call on fixed addresses. */
    Runnable call(MemorySegment a, MemorySegment b, MemorySegment d, MemorySegment scratch) {
        MemorySegment x = MemorySegment.ofAddress(b.address());
        MemorySegment y = MemorySegment.ofAddress(a.address());
        MemorySegment z = MemorySegment.ofAddress(d.address());
        MemorySegment room = workspace == 0 ? MemorySegment.NULL : MemorySegment.ofAddress(scratch.address());
        return () -> lt.matmul(device.cublasLt, desc, one, x, left, y, right, zero, z, result, algorithm, room,
                workspace, device.stream);
    }

    @Override
    public void close() {
        lt.destroyLayout(result);
        lt.destroyLayout(right);
        lt.destroyLayout(left);
        lt.destroyDesc(desc);
        arena.close();
    }
}
