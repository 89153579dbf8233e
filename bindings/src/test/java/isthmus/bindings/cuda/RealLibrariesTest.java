package isthmus.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeLibrary;
import isthmus.bindings.cudnn.Cudnn;
import isthmus.bindings.cudnn.CudnnConstants;
import isthmus.bindings.nvrtc.Nvrtc;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** What NVIDIA's libraries do without a driver, where they are found: compile all our kernels, take our descriptors. */
class RealLibrariesTest {
    private static final List<String> FILES = List.of("channels", "dice", "elementwise", "layout", "loss", "norm",
            "optim", "pool", "upsample");
    private static final int OLDEST = 75;

    @Test
    void nvrtcCompilesEveryKernel() throws IOException {
        NativeLibrary library = CudaSearch.nvrtc();
        found(library);
        Nvrtc nvrtc = new Nvrtc(library);
        Map<String, String> headers = new LinkedHashMap<>();
        for (String h : List.of("kernel.cuh", "window.cuh"))
            headers.put(h, source(h));
        int[] architectures = IntStream.of(nvrtc.architectures())
                .filter(a -> a == OLDEST || a == 90 || a == 120).toArray();
        int compiled = 0;
        for (String file : FILES) {
            for (int arch : architectures) {
                byte[] cubin = nvrtc.compile(file + ".cu", source(file + ".cu"), headers,
                        List.of("--gpu-architecture=sm_" + arch, "--std=c++17"));
                assertTrue(cubin.length > 1000, file + " for sm_" + arch + ": " + cubin.length + " bytes");
                compiled++;
            }
        }
        assertEquals(FILES.size() * architectures.length, compiled);
        System.out.println("RealLibrariesTest: NVRTC " + CudaLibraries.text(nvrtc.version()) + " compiled " + compiled
                + " cubins of " + FILES.size() + " files");
    }

    @Test
    void cudnnTakesOurDescriptors() {
        NativeLibrary library = CudaSearch.open("cuDNN", "libcudnn.so.9");
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

    private static void found(NativeLibrary library) {
        library.problem().ifPresent(p -> System.out.println("RealLibrariesTest: not run: " + p));
        Assumptions.assumeTrue(library.problem().isEmpty(), "the library is not found");
    }

    private static String source(String name) throws IOException {
        try (InputStream in = RealLibrariesTest.class.getClassLoader()
                .getResourceAsStream("isthmus/native/cuda/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
