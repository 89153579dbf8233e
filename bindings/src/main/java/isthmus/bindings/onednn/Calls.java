package isthmus.bindings.onednn;

import isthmus.bindings.Downcalls;
import isthmus.bindings.NativeException;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** What all of oneDNN's functions share: the library's table, the status check and how a created handle is read. */
final class Calls {
    static final Downcalls DNNL = new Downcalls(NativeLibrary.oneDnn());

    private static final MethodHandle STATUS2STR = DNNL.bind("dnnl_status2str", "pi");

    private Calls() {}

    /** A call that writes the handle of something new to {@code out}; {@code scratch} lives as long as the call. */
    interface Creation {
        int into(Arena scratch, MemorySegment out) throws Throwable;
    }

    /** A call that gives a status. */
    interface Call {
        int status() throws Throwable;
    }

    /** The handle that a call created. */
    static MemorySegment created(String name, Creation creation) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment out = scratch.allocate(ValueLayout.ADDRESS);
            check(name, creation.into(scratch, out));
            return out.get(ValueLayout.ADDRESS, 0);
        } catch (Throwable t) {
            throw Downcalls.failure(name, t);
        }
    }

    /** Makes a call; throws unless it succeeded. */
    static void call(String name, Call call) {
        try {
            check(name, call.status());
        } catch (Throwable t) {
            throw Downcalls.failure(name, t);
        }
    }

    /** Throws unless the status is success. */
    static void check(String name, int status) {
        if (status != OneDnnConstants.DNNL_SUCCESS) throw new NativeException(name, status, words(status));
    }

    private static String words(int status) {
        try {
            return NativeMemory.text((MemorySegment) STATUS2STR.invokeExact(status));
        } catch (Throwable t) {
            throw Downcalls.failure("dnnl_status2str", t);
        }
    }

    /** An int64 array as C wants it, or NULL for null. */
    static MemorySegment dims(Arena scratch, long... values) {
        return values == null ? MemorySegment.NULL : scratch.allocateFrom(ValueLayout.JAVA_LONG, values);
    }
}
