package isthmus.backend.cuda;

import static isthmus.bindings.cublas.CublasLtConstants.CUBLASLT_EPILOGUE_BIAS;
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

/**
 * A matrix product by cuBLASLt, {@code d[m,n] = op(a) op(b)}, all row-major: to cuBLASLt, whose matrices are column-major, it
 * is {@code d' = op(b)' op(a)'}. Owns its descriptions.
 */
final class Product implements AutoCloseable {
    private static final long WORKSPACE = 32L << 20;

    /** A row-major operand as it lies in memory. */
    record Matrix(long rows, long columns, DType type, boolean transposed) {
        long outer() { return transposed ? columns : rows; }

        long inner() { return transposed ? rows : columns; }
    }

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
    private final long workspace;

    Product(Device device, Matrix a, Matrix b, DType type, boolean bias) {
        if (a.inner() != b.outer())
            throw new IllegalArgumentException("product: " + a + " and " + b + " do not fit");
        this.device = device;
        this.lt = device.libraries.cublasLt();
        boolean tf32 = a.type == DType.F32 && Boolean.getBoolean(Convolutions.TF32);
        desc = lt.createDesc(tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F);
        lt.setDesc(desc, CUBLASLT_MATMUL_DESC_TRANSA, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
        lt.setDesc(desc, CUBLASLT_MATMUL_DESC_TRANSB, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
        if (bias) {
            lt.setDesc(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
            lt.setDesc(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
        }
        left = lt.createLayout(code(b.type), b.columns, b.rows, b.columns);
        right = lt.createLayout(code(a.type), a.columns, a.rows, a.columns);
        long n = b.transposed ? b.rows : b.columns;
        result = lt.createLayout(code(type), n, a.outer(), n);
        algorithm = arena.allocate(CublasLt.HEURISTIC_BYTES, Long.BYTES);
        one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
        zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
        if (lt.heuristics(device.cublasLt, desc, left, right, result, WORKSPACE, algorithm, 1) < 1)
            throw new IllegalStateException("cuBLASLt has no algorithm for the product of " + a + " and " + b);
        workspace = algorithm.get(ValueLayout.JAVA_LONG, CublasLt.HEURISTIC_WORKSPACE);
    }

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

    /** The bias added to every row of the result, float32. */
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
