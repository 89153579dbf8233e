package isthmus.bindings.onednn;

import isthmus.bindings.Checked;
import isthmus.bindings.Downcalls;
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
    private static final Checked CHECKED = new Checked(Calls::words);

    private Calls() {}

    /** The handle that a call created. */
    static MemorySegment created(String name, Checked.Query creation) {
        return CHECKED.pointer(name, creation);
    }

    /** Makes a call; throws unless it succeeded. */
    static void call(String name, Checked.Call call) {
        CHECKED.call(name, call);
    }

    /** Throws unless the status is success. */
    static void check(String name, int status) {
        CHECKED.check(name, status);
    }

    private static String words(int status) {
        return Checked.get("dnnl_status2str", () -> NativeMemory.text((MemorySegment) STATUS2STR.invokeExact(status)));
    }

    /** An int64 array as C wants it, or NULL for null. */
    static MemorySegment dims(Arena scratch, long... values) {
        return values == null ? MemorySegment.NULL : scratch.allocateFrom(ValueLayout.JAVA_LONG, values);
    }
}
