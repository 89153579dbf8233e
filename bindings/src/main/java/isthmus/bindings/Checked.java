package isthmus.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntFunction;

/**
 * Makes calls of a library whose functions return a status, 0 for success, and turns any other into a
 * {@link NativeException} with the library's own words.
 *
 * @param words the library's text for a status
 */
public record Checked(IntFunction<String> words) {
    /** A call that gives a status. */
    public interface Call {
        /** Makes the call. */
        int status() throws Throwable;
    }

    /** A call that writes one result of eight bytes or fewer to {@code out}; {@code scratch} lives as long as the call. */
    public interface Query {
        /** Makes the call. */
        int into(Arena scratch, MemorySegment out) throws Throwable;
    }

    /** A call that gives a value and no status. */
    public interface Getter<T> {
        /** Makes the call. */
        T get() throws Throwable;
    }

    /** Makes a call; throws unless it succeeded. */
    public void call(String name, Call call) {
        try {
            check(name, call.status());
        } catch (Throwable t) {
            throw Downcalls.failure(name, t);
        }
    }

    /** Throws unless the status is 0. */
    public void check(String name, int status) {
        if (status != 0) throw new NativeException(name, status, words.apply(status));
    }

    /** The handle or pointer that a call gave. */
    public MemorySegment pointer(String name, Query query) {
        return MemorySegment.ofAddress(longValue(name, query));
    }

    /** The int64 that a call gave. */
    public long longValue(String name, Query query) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment out = scratch.allocate(ValueLayout.JAVA_LONG);
            check(name, query.into(scratch, out));
            return out.get(ValueLayout.JAVA_LONG, 0);
        } catch (Throwable t) {
            throw Downcalls.failure(name, t);
        }
    }

    /** The int32 that a call gave. */
    public int intValue(String name, Query query) {
        return (int) longValue(name, query);
    }

    /** What a call without a status gave. */
    public static <T> T get(String name, Getter<T> getter) {
        try {
            return getter.get();
        } catch (Throwable t) {
            throw Downcalls.failure(name, t);
        }
    }
}
