package isthmus.bindings.cudnn;

import isthmus.bindings.BoundLibrary;
import isthmus.bindings.Checked;
import isthmus.bindings.Downcalls;
import isthmus.bindings.NativeException;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;

/** cuDNN's graph interface, one method a function; attributes are set by type. Descriptors are segments of length 0. */
public final class Cudnn extends BoundLibrary {
    private static final long WORDS = 1024;

    private final MethodHandle version;
    private final MethodHandle cudaVersion;
    private final MethodHandle errorString;
    private final MethodHandle lastError;
    private final MethodHandle create;
    private final MethodHandle destroy;
    private final MethodHandle setStream;
    private final MethodHandle createDescriptor;
    private final MethodHandle destroyDescriptor;
    private final MethodHandle finalizeDescriptor;
    private final MethodHandle setAttribute;
    private final MethodHandle getAttribute;
    private final MethodHandle execute;

    /** Binds the library, which may be missing: then every call throws, saying why. */
    public Cudnn(NativeLibrary library) {
        super(library);
        version = table.bind("cudnnGetVersion", "l");
        cudaVersion = table.bind("cudnnGetCudartVersion", "l");
        errorString = table.bind("cudnnGetErrorString", "pi");
        lastError = table.bind("cudnnGetLastErrorString", "vpl");
        create = table.bind("cudnnCreate", "ip");
        destroy = table.bind("cudnnDestroy", "ip");
        setStream = table.bind("cudnnSetStream", "ipp");
        createDescriptor = table.bind("cudnnBackendCreateDescriptor", "iip");
        destroyDescriptor = table.bind("cudnnBackendDestroyDescriptor", "ip");
        finalizeDescriptor = table.bind("cudnnBackendFinalize", "ip");
        setAttribute = table.bind("cudnnBackendSetAttribute", "ipiilp");
        getAttribute = table.bind("cudnnBackendGetAttribute", "ipiilpp");
        execute = table.bind("cudnnBackendExecute", "ippp");
    }

    @Override
    protected String words(int status) {
        return Checked.get("cudnnGetErrorString", () -> {
            String name = NativeMemory.text((MemorySegment) errorString.invokeExact(status));
            try (Arena scratch = Arena.ofConfined()) {
                MemorySegment text = scratch.allocate(WORDS);
                lastError.invokeExact(text, WORDS);
                String more = text.getString(0).strip();
                return more.isEmpty() ? name : name + ": " + more;
            }
        });
    }

    /** Its version, as in 92400. */
    public long version() {
        return Checked.get("cudnnGetVersion", () -> (long) version.invokeExact());
    }

    /** The CUDA that it was built for, as in 13030. */
    public long cudaVersion() {
        return Checked.get("cudnnGetCudartVersion", () -> (long) cudaVersion.invokeExact());
    }

    /** A handle, for the current context. */
    public MemorySegment create() {
        return checked.pointer("cudnnCreate", (a, out) -> (int) create.invokeExact(out));
    }

    /** Ends a handle. */
    public void destroy(MemorySegment handle) {
        checked.call("cudnnDestroy", () -> (int) destroy.invokeExact(handle));
    }

    /** The stream of all that the handle does. */
    public void setStream(MemorySegment handle, MemorySegment stream) {
        checked.call("cudnnSetStream", () -> (int) setStream.invokeExact(handle, stream));
    }

    /** A descriptor of a kind. */
    public MemorySegment createDescriptor(int kind) {
        return checked.pointer("cudnnBackendCreateDescriptor",
                (a, out) -> (int) createDescriptor.invokeExact(kind, out));
    }

    /** Ends a descriptor. */
    public void destroyDescriptor(MemorySegment descriptor) {
        checked.call("cudnnBackendDestroyDescriptor", () -> (int) destroyDescriptor.invokeExact(descriptor));
    }

    /** Checks a descriptor's attributes and closes it to changes. */
    public void finish(MemorySegment descriptor) {
        checked.call("cudnnBackendFinalize", () -> (int) finalizeDescriptor.invokeExact(descriptor));
    }

    /** As {@link #finish}; false if cuDNN says that it does not support this, and for nothing else. */
    public boolean finishIfSupported(MemorySegment descriptor) {
        try {
            finish(descriptor);
            return true;
        } catch (NativeException e) {
            if (e.status() >= CudnnConstants.CUDNN_STATUS_NOT_SUPPORTED
                    && e.status() < CudnnConstants.CUDNN_STATUS_INTERNAL_ERROR)
                return false;
            throw e;
        }
    }

    /** Sets an attribute to the elements that lie in memory. */
    public void set(MemorySegment descriptor, int attribute, int type, long count, MemorySegment elements) {
        checked.call("cudnnBackendSetAttribute " + attribute,
                () -> (int) setAttribute.invokeExact(descriptor, attribute, type, count, elements));
    }

    /** Sets an attribute to int64 numbers. */
    public void setLongs(MemorySegment descriptor, int attribute, long... values) {
        try (Arena scratch = Arena.ofConfined()) {
            set(descriptor, attribute, CudnnConstants.CUDNN_TYPE_INT64, values.length,
                    scratch.allocateFrom(ValueLayout.JAVA_LONG, values));
        }
    }

    /** Sets an attribute to one int32-sized value of a type, such as an enumerator. */
    public void setInt(MemorySegment descriptor, int attribute, int type, int value) {
        try (Arena scratch = Arena.ofConfined()) {
            set(descriptor, attribute, type, 1, scratch.allocateFrom(ValueLayout.JAVA_INT, value));
        }
    }

    /** Sets an attribute to one float32. */
    public void setFloat(MemorySegment descriptor, int attribute, float value) {
        try (Arena scratch = Arena.ofConfined()) {
            set(descriptor, attribute, CudnnConstants.CUDNN_TYPE_FLOAT, 1,
                    scratch.allocateFrom(ValueLayout.JAVA_FLOAT, value));
        }
    }

    /** Sets an attribute to one byte: true or false. */
    public void setBoolean(MemorySegment descriptor, int attribute, boolean value) {
        try (Arena scratch = Arena.ofConfined()) {
            set(descriptor, attribute, CudnnConstants.CUDNN_TYPE_BOOLEAN, 1,
                    scratch.allocateFrom(ValueLayout.JAVA_BYTE, (byte) (value ? 1 : 0)));
        }
    }

    /** Sets an attribute to pointers, handles or descriptors. */
    public void setPointers(MemorySegment descriptor, int attribute, int type, MemorySegment... values) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment all = scratch.allocate(ValueLayout.ADDRESS, values.length);
            for (int i = 0; i < values.length; i++)
                all.setAtIndex(ValueLayout.ADDRESS, i, values[i]);
            set(descriptor, attribute, type, values.length, all);
        }
    }

    /** Reads an attribute into memory; how many elements there were. */
    public long get(MemorySegment descriptor, int attribute, int type, long most, MemorySegment into) {
        return checked.longValue("cudnnBackendGetAttribute " + attribute,
                (a, out) -> (int) getAttribute.invokeExact(descriptor, attribute, type, most, out, into));
    }

    /** Reads one int64. */
    public long getLong(MemorySegment descriptor, int attribute) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment value = scratch.allocate(ValueLayout.JAVA_LONG);
            get(descriptor, attribute, CudnnConstants.CUDNN_TYPE_INT64, 1, value);
            return value.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** Reads enumerators. */
    public int[] getInts(MemorySegment descriptor, int attribute, int type, int most) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment values = scratch.allocate(ValueLayout.JAVA_INT, most);
            long n = Math.min(most, get(descriptor, attribute, type, most, values));
            return values.asSlice(0, n * Integer.BYTES).toArray(ValueLayout.JAVA_INT);
        }
    }

    /** Sets an attribute to text. */
    public void setText(MemorySegment descriptor, int attribute, String text) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment bytes = scratch.allocateFrom(text);
            set(descriptor, attribute, CudnnConstants.CUDNN_TYPE_CHAR, bytes.byteSize(), bytes);
        }
    }

    /** Reads text. */
    public String getText(MemorySegment descriptor, int attribute) {
        long size = get(descriptor, attribute, CudnnConstants.CUDNN_TYPE_CHAR, 0, MemorySegment.NULL);
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment text = scratch.allocate(size + 1);
            get(descriptor, attribute, CudnnConstants.CUDNN_TYPE_CHAR, size, text);
            return text.getString(0);
        }
    }

    /**
     * Reads descriptors: cuDNN fills ones that the caller has made, which are then the caller's to end. At most {@code most}.
     */
    public List<MemorySegment> getDescriptors(MemorySegment descriptor, int attribute, int kind, int most) {
        List<MemorySegment> made = new ArrayList<>();
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment all = scratch.allocate(ValueLayout.ADDRESS, most);
            for (int i = 0; i < most; i++) {
                made.add(createDescriptor(kind));
                all.setAtIndex(ValueLayout.ADDRESS, i, made.get(i));
            }
            int n = (int) Math.min(most,
                    get(descriptor, attribute, CudnnConstants.CUDNN_TYPE_BACKEND_DESCRIPTOR, most, all));
            made.subList(n, most).forEach(this::destroyDescriptor);
            return new ArrayList<>(made.subList(0, n));
        } catch (RuntimeException e) {
            made.forEach(this::destroyDescriptor);
            throw e;
        }
    }

    /** Runs a plan on the pointers of a variant pack, in the handle's stream. */
    public void execute(MemorySegment handle, MemorySegment plan, MemorySegment pack) {
        try {
            checked.check("cudnnBackendExecute", (int) execute.invokeExact(handle, plan, pack));
        } catch (Throwable t) {
            throw Downcalls.failure("cudnnBackendExecute", t);
        }
    }
}
