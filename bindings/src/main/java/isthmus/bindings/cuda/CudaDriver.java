package isthmus.bindings.cuda;

import isthmus.bindings.BoundLibrary;
import isthmus.bindings.Downcalls;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * The CUDA driver, one method a function; its words become a {@link isthmus.bindings.NativeException}. Handles are
 * segments of length 0, device pointers are {@code long}. What is called in every step allocates nothing.
 */
public final class CudaDriver extends BoundLibrary {
    private final MethodHandle errorName;
    private final MethodHandle errorString;
    private final MethodHandle init;
    private final MethodHandle driverVersion;
    private final MethodHandle deviceCount;
    private final MethodHandle deviceGet;
    private final MethodHandle deviceName;
    private final MethodHandle deviceAttribute;
    private final MethodHandle deviceMemory;
    private final MethodHandle contextRetain;
    private final MethodHandle contextRelease;
    private final MethodHandle contextSet;
    private final MethodHandle memoryInfo;
    private final MethodHandle alloc;
    private final MethodHandle free;
    private final MethodHandle hostAlloc;
    private final MethodHandle hostFree;
    private final MethodHandle toDevice;
    private final MethodHandle toHost;
    private final MethodHandle onDevice;
    private final MethodHandle set;
    private final MethodHandle moduleLoad;
    private final MethodHandle moduleUnload;
    private final MethodHandle moduleFunction;
    private final MethodHandle functionAttribute;
    private final MethodHandle launch;
    private final CudaStreams streams;

    /** Binds the library, which may be missing: then every call throws, saying why. */
    public CudaDriver(NativeLibrary library) {
        super(library);
        errorName = table.bind("cuGetErrorName", "iip");
        errorString = table.bind("cuGetErrorString", "iip");
        init = table.bind("cuInit", "ii");
        driverVersion = table.bind("cuDriverGetVersion", "ip");
        deviceCount = table.bind("cuDeviceGetCount", "ip");
        deviceGet = table.bind("cuDeviceGet", "ipi");
        deviceName = table.bind("cuDeviceGetName", "ipii");
        deviceAttribute = table.bind("cuDeviceGetAttribute", "ipii");
        deviceMemory = table.bind("cuDeviceTotalMem_v2", "ipi");
        contextRetain = table.bind("cuDevicePrimaryCtxRetain", "ipi");
        contextRelease = table.bind("cuDevicePrimaryCtxRelease_v2", "ii");
        contextSet = table.bind("cuCtxSetCurrent", "ip");
        memoryInfo = table.bind("cuMemGetInfo_v2", "ipp");
        alloc = table.bind("cuMemAlloc_v2", "ipl");
        free = table.bind("cuMemFree_v2", "il");
        hostAlloc = table.bind("cuMemHostAlloc", "ipli");
        hostFree = table.bind("cuMemFreeHost", "ip");
        toDevice = table.bind("cuMemcpyHtoDAsync_v2", "ilplp");
        toHost = table.bind("cuMemcpyDtoHAsync_v2", "ipllp");
        onDevice = table.bind("cuMemcpyDtoDAsync_v2", "illlp");
        set = table.bind("cuMemsetD32Async", "ililp");
        moduleLoad = table.bind("cuModuleLoadDataEx", "ippipp");
        moduleUnload = table.bind("cuModuleUnload", "ip");
        moduleFunction = table.bind("cuModuleGetFunction", "ippp");
        functionAttribute = table.bind("cuFuncGetAttribute", "ipip");
        launch = table.bind("cuLaunchKernel", "ipiiiiiiippp");
        streams = new CudaStreams(table, checked);
    }

    /** Streams, events, capture and graphs. */
    public CudaStreams streams() { return streams; }

    @Override
    protected String words(int status) { return text(errorString, status) + " (" + text(errorName, status) + ")"; }

    private String text(MethodHandle of, int status) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment out = scratch.allocate(ValueLayout.ADDRESS);
            int found = (int) of.invokeExact(status, out);
            return found == 0 ? NativeMemory.text(out.get(ValueLayout.ADDRESS, 0)) : "error " + status;
        } catch (Throwable t) {
            throw Downcalls.failure("cuGetErrorString", t);
        }
    }

    /** Starts the driver. */
    public void init() { checked.call("cuInit", () -> (int) init.invokeExact(0)); }

    /** The newest CUDA that the driver serves, as in 13000. */
    public int driverVersion() {
        return checked.intValue("cuDriverGetVersion", (a, out) -> (int) driverVersion.invokeExact(out));
    }

    /** Number of GPUs. */
    public int deviceCount() {
        return checked.intValue("cuDeviceGetCount", (a, out) -> (int) deviceCount.invokeExact(out));
    }

    /** The GPU with an index. */
    public int device(int index) {
        return checked.intValue("cuDeviceGet", (a, out) -> (int) deviceGet.invokeExact(out, index));
    }

    /** The GPU's name. */
    public String deviceName(int device) {
        final int most = 256;
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment name = scratch.allocate(most);
            checked.call("cuDeviceGetName", () -> (int) deviceName.invokeExact(name, most, device));
            return name.getString(0);
        }
    }

    /** One of the {@code CU_DEVICE_ATTRIBUTE_} numbers. */
    public int deviceAttribute(int attribute, int device) {
        return checked.intValue("cuDeviceGetAttribute",
                (a, out) -> (int) deviceAttribute.invokeExact(out, attribute, device));
    }

    /** The GPU's memory in bytes. */
    public long deviceMemory(int device) {
        return checked.longValue("cuDeviceTotalMem", (a, out) -> (int) deviceMemory.invokeExact(out, device));
    }

    /** Takes a share in the GPU's primary context. */
    public MemorySegment retainContext(int device) {
        return checked.pointer("cuDevicePrimaryCtxRetain", (a, out) -> (int) contextRetain.invokeExact(out, device));
    }

    /** Gives the share back. */
    public void releaseContext(int device) {
        checked.call("cuDevicePrimaryCtxRelease", () -> (int) contextRelease.invokeExact(device));
    }

    /** Makes the context the calling thread's. */
    public void setContext(MemorySegment context) {
        checked.call("cuCtxSetCurrent", () -> (int) contextSet.invokeExact(context));
    }

    /** Free bytes of the context's GPU. */
    public long freeMemory() {
        return checked.longValue("cuMemGetInfo",
                (a, out) -> (int) memoryInfo.invokeExact(out, a.allocate(ValueLayout.JAVA_LONG)));
    }

    /** Device memory, not cleared. */
    public long alloc(long bytes) {
        return checked.longValue("cuMemAlloc", (a, out) -> (int) alloc.invokeExact(out, bytes));
    }

    /** Gives device memory back. */
    public void free(long pointer) {
        checked.call("cuMemFree", () -> (int) free.invokeExact(pointer));
    }

    /** Pinned host memory, a segment of length 0. */
    public MemorySegment allocHost(long bytes) {
        return checked.pointer("cuMemHostAlloc",
                (a, out) -> (int) hostAlloc.invokeExact(out, bytes, CudaConstants.CU_MEMHOSTALLOC_PORTABLE));
    }

    /** Gives pinned host memory back. */
    public void freeHost(MemorySegment pinned) {
        checked.call("cuMemFreeHost", () -> (int) hostFree.invokeExact(pinned));
    }

    /** Copies from the host, in the stream's order. */
    public void copyToDevice(long to, MemorySegment from, long bytes, MemorySegment stream) {
        try {
            checked.check("cuMemcpyHtoDAsync", (int) toDevice.invokeExact(to, from, bytes, stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cuMemcpyHtoDAsync", t);
        }
    }

    /** Copies to the host, in the stream's order. */
    public void copyToHost(MemorySegment to, long from, long bytes, MemorySegment stream) {
        try {
            checked.check("cuMemcpyDtoHAsync", (int) toHost.invokeExact(to, from, bytes, stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cuMemcpyDtoHAsync", t);
        }
    }

    /** Copies on the device, in the stream's order. */
    public void copyOnDevice(long to, long from, long bytes, MemorySegment stream) {
        try {
            checked.check("cuMemcpyDtoDAsync", (int) onDevice.invokeExact(to, from, bytes, stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cuMemcpyDtoDAsync", t);
        }
    }

    /** Sets {@code words} 32-bit words to {@code value}, in the stream's order. */
    public void fill(long to, int value, long words, MemorySegment stream) {
        checked.call("cuMemsetD32Async", () -> (int) set.invokeExact(to, value, words, stream));
    }

    /** Loads a cubin. */
    public MemorySegment loadModule(MemorySegment image) {
        return checked.pointer("cuModuleLoadDataEx", (a, out) -> (int) moduleLoad.invokeExact(out, image, 0,
                MemorySegment.NULL, MemorySegment.NULL));
    }

    /** Unloads a module. */
    public void unloadModule(MemorySegment module) {
        checked.call("cuModuleUnload", () -> (int) moduleUnload.invokeExact(module));
    }

    /** A kernel of a module. */
    public MemorySegment function(MemorySegment module, String name) {
        return checked.pointer("cuModuleGetFunction " + name,
                (a, out) -> (int) moduleFunction.invokeExact(out, module, a.allocateFrom(name)));
    }

    /** One of the {@code CU_FUNC_ATTRIBUTE_} numbers. */
    public int functionAttribute(int attribute, MemorySegment function) {
        return checked.intValue("cuFuncGetAttribute",
                (a, out) -> (int) functionAttribute.invokeExact(out, attribute, function));
    }

    /** Launches a kernel; {@code parameters} is an array of pointers to its arguments. */
    public void launch(MemorySegment function, int gridX, int gridY, int gridZ, int blockX, int blockY,
            int sharedBytes, MemorySegment stream, MemorySegment parameters) {
        try {
            checked.check("cuLaunchKernel", (int) launch.invokeExact(function, gridX, gridY, gridZ, blockX, blockY, 1,
                    sharedBytes, stream, parameters, MemorySegment.NULL));
        } catch (Throwable t) {
            throw Downcalls.failure("cuLaunchKernel", t);
        }
    }
}
