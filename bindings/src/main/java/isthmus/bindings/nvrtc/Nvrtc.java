package isthmus.bindings.nvrtc;

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
import java.util.List;
import java.util.Map;

/** NVIDIA's run-time compiler: CUDA source in, machine code for one architecture out. */
public final class Nvrtc extends BoundLibrary {
    private final MethodHandle errorString;
    private final MethodHandle version;
    private final MethodHandle archCount;
    private final MethodHandle archs;
    private final MethodHandle create;
    private final MethodHandle compile;
    private final MethodHandle destroy;
    private final MethodHandle logSize;
    private final MethodHandle log;
    private final MethodHandle cubinSize;
    private final MethodHandle cubin;

    /** Binds the library, which may be missing: then every call throws, saying why. */
    public Nvrtc(NativeLibrary library) {
        super(library);
        errorString = table.bind("nvrtcGetErrorString", "pi");
        version = table.bind("nvrtcVersion", "ipp");
        archCount = table.bind("nvrtcGetNumSupportedArchs", "ip");
        archs = table.bind("nvrtcGetSupportedArchs", "ip");
        create = table.bind("nvrtcCreateProgram", "ipppipp");
        compile = table.bind("nvrtcCompileProgram", "ipip");
        destroy = table.bind("nvrtcDestroyProgram", "ip");
        logSize = table.bind("nvrtcGetProgramLogSize", "ipp");
        log = table.bind("nvrtcGetProgramLog", "ipp");
        cubinSize = table.bind("nvrtcGetCUBINSize", "ipp");
        cubin = table.bind("nvrtcGetCUBIN", "ipp");
    }

    @Override
    protected String words(int status) {
        return Checked.get("nvrtcGetErrorString",
                () -> NativeMemory.text((MemorySegment) errorString.invokeExact(status)));
    }

    /** Its version, as in 13000 for 13.0. */
    public int version() {
        return checked.intValue("nvrtcVersion", (a, major) -> {
            MemorySegment minor = a.allocate(ValueLayout.JAVA_INT);
            int status = (int) version.invokeExact(major, minor);
            major.set(ValueLayout.JAVA_INT, 0,
                    major.get(ValueLayout.JAVA_INT, 0) * 1000 + minor.get(ValueLayout.JAVA_INT, 0) * 10);
            return status;
        });
    }

    /** Compute capabilities that it compiles for, as in 90. */
    public int[] architectures() {
        int n = checked.intValue("nvrtcGetNumSupportedArchs", (a, out) -> (int) archCount.invokeExact(out));
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment out = scratch.allocate(ValueLayout.JAVA_INT, n);
            checked.call("nvrtcGetSupportedArchs", () -> (int) archs.invokeExact(out));
            return out.toArray(ValueLayout.JAVA_INT);
        }
    }

    /**
     * Compiles to machine code; a failure carries the compiler's log, which names file and line.
     *
     * @param name the source's name in messages
     * @param headers name and text of what the source includes
     */
    public byte[] compile(String name, String source, Map<String, String> headers, List<String> options) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment texts = strings(scratch, List.copyOf(headers.values()));
            MemorySegment names = strings(scratch, List.copyOf(headers.keySet()));
            MemorySegment program = checked.pointer("nvrtcCreateProgram",
                    (a, out) -> (int) create.invokeExact(out, scratch.allocateFrom(source), scratch.allocateFrom(name),
                            headers.size(), texts, names));
            try {
                MemorySegment flags = strings(scratch, options);
                int status = (int) compile.invokeExact(program, options.size(), flags);
                if (status != 0) {
                    throw new NativeException("nvrtcCompileProgram " + name, status,
                            words(status) + ":\n" + new String(read(program, logSize, log, 1),
                                    java.nio.charset.StandardCharsets.UTF_8));
                }
                return read(program, cubinSize, cubin, 0);
            } finally {
                MemorySegment holder = scratch.allocateFrom(ValueLayout.ADDRESS, program);
                checked.call("nvrtcDestroyProgram", () -> (int) destroy.invokeExact(holder));
            }
        } catch (Throwable t) {
            throw Downcalls.failure("nvrtcCompileProgram", t);
        }
    }

    private byte[] read(MemorySegment program, MethodHandle size, MethodHandle content, int less) {
        long n = checked.longValue("nvrtc result's size", (a, out) -> (int) size.invokeExact(program, out));
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment out = scratch.allocate(Math.max(1, n));
            checked.call("nvrtc result", () -> (int) content.invokeExact(program, out));
            return out.asSlice(0, Math.max(0, n - less)).toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private static MemorySegment strings(Arena scratch, List<String> texts) {
        MemorySegment pointers = scratch.allocate(ValueLayout.ADDRESS, Math.max(1, texts.size()));
        for (int i = 0; i < texts.size(); i++)
            pointers.setAtIndex(ValueLayout.ADDRESS, i, scratch.allocateFrom(texts.get(i)));
        return pointers;
    }
}
