package isthmus.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.NativeMemory;
import isthmus.bindings.cudnn.Cudnn;
import isthmus.bindings.cudnn.CudnnConstants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the emulation refuses, so that tests on it mean something. */
class EmulationTest {
    private static final long BYTES = 64;

    private final CudaLibraries cuda = CudaLibraries.emulated();
    private final CudaDriver driver = cuda.driver();
    private MemorySegment stream;

    @BeforeEach
    void open() {
        cuda.driver().problem().ifPresent(p -> System.out.println("EmulationTest: not run: " + p));
        Assumptions.assumeTrue(cuda.driver().problem().isEmpty(), "the emulation is not built");
        driver.init();
        driver.setContext(driver.retainContext(driver.device(0)));
        stream = driver.streams().create();
    }

    @AfterEach
    void close() {
        if (stream == null) return;
        driver.streams().destroy(stream);
        driver.releaseContext(0);
    }

    private MemorySegment pinned(Arena arena) {
        return NativeMemory.owned(driver.allocHost(BYTES), BYTES, arena, driver::freeHost);
    }

    private static void refused(String word, Runnable call) {
        String text = assertThrows(NativeException.class, call::run).getMessage();
        assertTrue(text.contains(word), text);
    }

    @Test
    void memoryIsFreedOnceAndNotUsedAfter() {
        long p = driver.alloc(BYTES);
        driver.free(p);
        refused("freed", () -> driver.free(p));
        refused("freed", () -> driver.fill(p, 0, 1, stream));
        long q = driver.alloc(BYTES);
        refused("too small", () -> driver.fill(q, 0, BYTES, stream));
        driver.free(q);
    }

    @Test
    void forgottenMemoryIsToldAtTheEnd() {
        driver.retainContext(0);
        long p = driver.alloc(BYTES);
        driver.releaseContext(0);
        driver.streams().destroy(stream);
        stream = null;
        refused("still alive", () -> driver.releaseContext(0));
        driver.setContext(driver.retainContext(0));
        driver.free(p);
        driver.releaseContext(0);
    }

    @Test
    void anotherThreadHasNoContext() {
        var elsewhere = CompletableFuture.runAsync(() -> driver.alloc(BYTES));
        String text = assertThrows(CompletionException.class, elsewhere::join).getMessage();
        assertTrue(text.contains("no context"), text);
    }

    @Test
    void resultsReadTooEarlyAreNotThere() {
        try (Arena arena = Arena.ofConfined()) {
            long p = driver.alloc(BYTES);
            driver.fill(p, 7, BYTES / Integer.BYTES, stream);
            MemorySegment host = pinned(arena).fill((byte) 0);
            driver.copyToHost(host, p, BYTES, stream);
            assertEquals(0, host.get(ValueLayout.JAVA_INT, 0), "before anyone waited");
            driver.streams().synchronize(stream);
            assertEquals(7, host.get(ValueLayout.JAVA_INT, 0));
            driver.free(p);
        }
    }

    @Test
    void pinnedMemoryWrittenTooEarlyIsAnError() {
        try (Arena arena = Arena.ofConfined()) {
            long p = driver.alloc(BYTES);
            MemorySegment host = pinned(arena).fill((byte) 1);
            driver.copyToDevice(p, host, BYTES, stream);
            host.fill((byte) 2);
            refused("on its way", () -> driver.streams().synchronize(stream));
            driver.streams().synchronize(stream);
            driver.copyToDevice(p, host, BYTES, stream);
            driver.streams().synchronize(stream);
            host.fill((byte) 3);
            driver.free(p);
        }
    }

    /** A copy on one stream and its reader on another: an event between them, or an error. */
    @Test
    void streamsThatShareMemoryNeedAnOrder() {
        CudaStreams streams = driver.streams();
        MemorySegment other = streams.create();
        MemorySegment event = streams.createEvent(false);
        long p = driver.alloc(BYTES);
        long q = driver.alloc(BYTES);
        driver.fill(p, 1, 1, other);
        refused("in order", () -> driver.copyOnDevice(q, p, Integer.BYTES, stream));
        streams.record(event, other);
        refused("in order", () -> driver.copyOnDevice(q, p, Integer.BYTES, stream));
        streams.await(stream, event);
        driver.copyOnDevice(q, p, Integer.BYTES, stream);
        refused("in order", () -> driver.fill(p, 2, 1, other));
        streams.synchronize(stream);
        driver.fill(p, 2, 1, other);
        streams.destroy(other);
        streams.destroyEvent(event);
        driver.free(p);
        driver.free(q);
    }

    /** The emulation's own attribute: so many launches from now the GPU is lost, and with its context all is new. */
    @Test
    void aGpuCanBeLost() {
        driver.deviceAttribute(-1002, 0);
        long memory = driver.alloc(BYTES);
        CudaStreams streams = driver.streams();
        streams.beginCapture(stream);
        driver.fill(memory, 0, 1, stream);
        MemorySegment exec = streams.instantiate(streams.endCapture(stream));
        streams.launch(exec, stream);
        refused("LAUNCH_FAILED", () -> streams.launch(exec, stream));
        refused("LAUNCH_FAILED", () -> streams.synchronize(stream));
        refused("LAUNCH_FAILED", () -> driver.alloc(BYTES));
        refused("LAUNCH_FAILED", () -> streams.destroy(stream));
        stream = null;
        driver.releaseContext(0);
        driver.setContext(driver.retainContext(0));
        driver.free(driver.alloc(BYTES));
        driver.releaseContext(0);
    }

    @Test
    void capturedWorkIsReplayed() {
        try (Arena arena = Arena.ofConfined()) {
            CudaStreams streams = driver.streams();
            long from = driver.alloc(Integer.BYTES);
            long to = driver.alloc(Integer.BYTES);
            streams.beginCapture(stream);
            driver.copyOnDevice(to, from, Integer.BYTES, stream);
            MemorySegment graph = streams.endCapture(stream);
            MemorySegment exec = streams.instantiate(graph);
            streams.destroyGraph(graph);
            int[] seen = new int[3];
            MemorySegment host = arena.allocate(ValueLayout.JAVA_INT);
            for (int i = 0; i < seen.length; i++) {
                driver.fill(from, 10 + i, 1, stream);
                streams.launch(exec, stream);
                driver.copyToHost(host, to, Integer.BYTES, stream);
                streams.synchronize(stream);
                seen[i] = host.get(ValueLayout.JAVA_INT, 0);
            }
            assertArrayEquals(new int[]{10, 11, 12}, seen);
            streams.destroyExec(exec);
            refused("destroyed", () -> streams.launch(exec, stream));
            driver.free(to);
            driver.free(from);
        }
    }

    @Test
    void waitingIsNotAllowedInACapture() {
        driver.streams().beginCapture(stream);
        refused("captured", () -> driver.streams().synchronize(stream));
        refused("capture failed", () -> driver.streams().endCapture(stream));
    }

    @Test
    void descriptorsRefuseWhatTheRealOnesRefuse() {
        Cudnn cudnn = cuda.cudnn();
        MemorySegment t = cudnn.createDescriptor(CudnnConstants.CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        refused("BAD_PARAM", () -> cudnn.finish(t));
        refused("ATTRIBUTE_TYPE", () -> cudnn.setFloat(t, CudnnConstants.CUDNN_ATTR_TENSOR_UNIQUE_ID, 1));
        refused("no attribute",
                () -> cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2));
        cudnn.setInt(t, CudnnConstants.CUDNN_ATTR_TENSOR_DATA_TYPE, CudnnConstants.CUDNN_TYPE_DATA_TYPE,
                CudnnConstants.CUDNN_DATA_HALF);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_DIMENSIONS, 1, 2, 3, 4);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_STRIDES, 24, 1, 8, 2);
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16);
        refused("lacks attribute TENSOR_UNIQUE_ID", () -> cudnn.finish(t));
        cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_UNIQUE_ID, 1);
        cudnn.finish(t);
        refused("after finalize", () -> cudnn.setLongs(t, CudnnConstants.CUDNN_ATTR_TENSOR_UNIQUE_ID, 2));
        cudnn.destroyDescriptor(t);
        refused("destroyed", () -> cudnn.destroyDescriptor(t));
    }

    @Test
    void theCompilersLogNamesTheFile() {
        refused("mine.cu(1)",
                () -> cuda.nvrtc().compile("mine.cu", "__global__ void f() {}", Map.of(), List.of()));
    }
}
