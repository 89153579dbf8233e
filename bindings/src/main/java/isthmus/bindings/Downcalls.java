package isthmus.bindings;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Makes method handles of C functions from their names and ABI letters, the result first: {@code i} int32, {@code l} int64
 * and size_t, {@code f} float, {@code d} double, {@code p} pointer, {@code v} void. What was bound is kept as a table,
 * which a test compares with the C headers.
 */
public final class Downcalls {
    private static final Linker LINKER = Linker.nativeLinker();

    private final NativeLibrary library;
    private final Map<String, String> signatures = Collections.synchronizedMap(new LinkedHashMap<>());

    /** Binds functions of one library, which may be missing: then every call throws, saying why it is missing. */
    public Downcalls(NativeLibrary library) {
        this.library = library;
    }

    /** A handle of the exact type that the letters say; fit for a {@code static final} field. Never fails. */
    public MethodHandle bind(String name, String letters) {
        signatures.put(name, letters);
        FunctionDescriptor descriptor = descriptor(letters);
        return library.find(name).map(address -> LINKER.downcallHandle(address, descriptor))
                .orElseGet(() -> refusing(name, descriptor));
    }

    /** The functions bound so far, in order, with their letters. */
    public Map<String, String> signatures() {
        return Collections.unmodifiableMap(signatures);
    }

    /** What to throw for anything that came out of {@code invokeExact}: it never wraps what is unchecked already. */
    public static RuntimeException failure(String call, Throwable t) {
        if (t instanceof Error e) throw e;
        return t instanceof RuntimeException e ? e : new IllegalStateException(call, t);
    }

    static FunctionDescriptor descriptor(String letters) {
        MemoryLayout[] arguments = letters.chars().skip(1).mapToObj(c -> layout((char) c))
                .toArray(MemoryLayout[]::new);
        return letters.charAt(0) == 'v'
                ? FunctionDescriptor.ofVoid(arguments)
                : FunctionDescriptor.of(layout(letters.charAt(0)), arguments);
    }

    static MethodHandle link(MemorySegment address, String letters, Linker.Option... options) {
        return LINKER.downcallHandle(address, descriptor(letters), options);
    }

    private static MemoryLayout layout(char letter) {
        return switch (letter) {
            case 'i' -> ValueLayout.JAVA_INT;
            case 'l' -> ValueLayout.JAVA_LONG;
            case 'f' -> ValueLayout.JAVA_FLOAT;
            case 'd' -> ValueLayout.JAVA_DOUBLE;
            case 'p' -> ValueLayout.ADDRESS;
            default -> throw new IllegalArgumentException("no ABI letter: " + letter);
        };
    }

    private MethodHandle refusing(String name, FunctionDescriptor descriptor) {
        var type = descriptor.toMethodType();
        var error = new NativeException(name, -1,
                library.problem().orElse("the library " + library.name() + " has no such function"));
        return MethodHandles.dropArguments(
                MethodHandles.insertArguments(MethodHandles.throwException(type.returnType(), NativeException.class), 0,
                        error),
                0, type.parameterArray());
    }
}
