package isthmus.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.cublas.CublasLt;
import isthmus.bindings.cublas.CublasLtConstants;
import isthmus.bindings.cudnn.Cudnn;
import isthmus.bindings.cudnn.CudnnConstants;
import isthmus.bindings.nvrtc.Nvrtc;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** What NVIDIA's libraries do without a driver, where they are found: compile all our kernels, take our descriptors. */
class RealLibrariesTest {
    /** The oldest, the newest and one between; native/cuda/check.sh compiles for all. */
    private static final Set<Integer> ARCHITECTURES = Set.of(75, 90, 120);
    private static final Path SOURCES = Path.of("..", "native", "cuda");

    /** The files of the source tree with that ending, by name. */
    private static Map<String, String> sources(String ending) throws IOException {
        Map<String, String> all = new TreeMap<>();
        try (Stream<Path> files = Files.list(SOURCES)) {
            for (Path file : files.filter(f -> f.toString().endsWith(ending)).toList())
                all.put(file.getFileName().toString(), Files.readString(file));
        }
        assertTrue(all.size() > 1, SOURCES + " has " + all.keySet());
        return all;
    }

    @Test
    void nvrtcCompilesEveryKernel() throws IOException {
        NativeLibrary library = CudaSearch.ofProcess().nvrtc();
        found(library);
        Nvrtc nvrtc = new Nvrtc(library);
        Map<String, String> headers = sources(".cuh");
        Map<String, String> files = sources(".cu");
        int[] architectures = IntStream.of(nvrtc.architectures()).filter(ARCHITECTURES::contains).toArray();
        assertTrue(architectures.length > 1, "NVRTC knows " + Arrays.toString(nvrtc.architectures()));
        for (var file : files.entrySet()) {
            for (int arch : architectures) {
                byte[] cubin = nvrtc.compile(file.getKey(), file.getValue(), headers,
                        List.of("--gpu-architecture=sm_" + arch, "--std=c++17"));
                assertTrue(cubin.length > 1000 && new String(cubin, 1, 3, StandardCharsets.US_ASCII).equals("ELF"),
                        file.getKey() + " for sm_" + arch + ": " + cubin.length + " bytes");
            }
        }
        System.out.println("RealLibrariesTest: NVRTC " + CudaLibraries.text(nvrtc.version()) + " compiled "
                + files.size() + " files for sm_" + Arrays.toString(architectures));
    }

    @Test
    void cudnnTakesOurDescriptors() {
        NativeLibrary library = CudaSearch.ofProcess().open("cuDNN", "libcudnn.so.9");
        found(library);
        Cudnn cudnn = new Cudnn(library);
        MemorySegment t = cudnn.createDescriptor(CudnnConstants.CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        cudnn.setInt(t, CudnnConstants.CUDNN_ATTR_TENSOR_DATA_TYPE, CudnnConstants.CUDNN_TYPE_DATA_TYPE,
                CudnnConstants.CUDNN_DATA_HALF);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_DIMENSIONS, 2, 64, 7, 9);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_STRIDES, 64 * 63, 1, 64 * 9, 64);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_UNIQUE_ID, 1);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16);
        cudnn.finish(t);
        MemorySegment c = cudnn.createDescriptor(CudnnConstants.CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
        cudnn.setInt(c, CudnnConstants.CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CudnnConstants.CUDNN_TYPE_DATA_TYPE,
                CudnnConstants.CUDNN_DATA_FLOAT);
        cudnn.setInt(c, CudnnConstants.CUDNN_ATTR_CONVOLUTION_CONV_MODE, CudnnConstants.CUDNN_TYPE_CONVOLUTION_MODE,
                CudnnConstants.CUDNN_CROSS_CORRELATION);
        cudnn.setLongs(c, CudnnConstants.CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
        for (int a : new int[]{CudnnConstants.CUDNN_ATTR_CONVOLUTION_DILATIONS,
                CudnnConstants.CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
                CudnnConstants.CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS,
                CudnnConstants.CUDNN_ATTR_CONVOLUTION_POST_PADDINGS})
            cudnn.setLongs(c, a, 1, 1);
        cudnn.finish(c);
        cudnn.destroyDescriptor(c);
        cudnn.destroyDescriptor(t);
        System.out.println("RealLibrariesTest: cuDNN " + cudnn.version() + " took a tensor and a convolution");
    }

    /** All that describes a product; without a handle the search for an algorithm itself is refused. */
    @Test
    void cublasLtTakesOurDescriptions() {
        NativeLibrary library = CudaSearch.ofProcess().open("cuBLASLt", "libcublasLt.so.13", "libcublasLt.so.12");
        found(library);
        CublasLt lt = new CublasLt(library);
        MemorySegment desc = lt.createDesc(CublasLtConstants.CUBLAS_COMPUTE_32F, CublasLtConstants.CUDA_R_32F);
        lt.setDesc(desc, CublasLtConstants.CUBLASLT_MATMUL_DESC_TRANSA, CublasLtConstants.CUBLAS_OP_T);
        lt.setDesc(desc, CublasLtConstants.CUBLASLT_MATMUL_DESC_EPILOGUE,
                CublasLtConstants.CUBLASLT_EPILOGUE_RELU_BIAS);
        lt.setDesc(desc, CublasLtConstants.CUBLASLT_MATMUL_DESC_EPILOGUE, CublasLtConstants.CUBLASLT_EPILOGUE_BGRADB);
        lt.setDesc(desc, CublasLtConstants.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CublasLtConstants.CUDA_R_16F);
        lt.setDesc(desc, CublasLtConstants.CUBLASLT_MATMUL_DESC_BIAS_POINTER, MemorySegment.ofAddress(16));
        MemorySegment matrix = lt.createLayout(CublasLtConstants.CUDA_R_16F, 8, 8, 8);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment results = arena.allocate(CublasLt.HEURISTIC_BYTES, Long.BYTES);
            NativeException refused = assertThrows(NativeException.class, () -> lt.heuristics(MemorySegment.NULL, desc,
                    matrix, matrix, matrix, new CublasLt.Limits(1 << 20, 16, 4), results, 1));
            assertEquals("cublasLtMatmulAlgoGetHeuristic", refused.call());
        }
        lt.destroyLayout(matrix);
        lt.destroyDesc(desc);
        System.out
                .println("RealLibrariesTest: cuBLASLt " + lt.version() + " took a description, a layout, preferences");
    }

    private static void found(NativeLibrary library) {
        library.problem().ifPresent(p -> System.out.println("RealLibrariesTest: not run: " + p));
        Assumptions.assumeTrue(library.problem().isEmpty(), "the library is not found");
    }
}
