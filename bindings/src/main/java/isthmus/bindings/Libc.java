package isthmus.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The few calls of the C library that loading and memory need. */
final class Libc {
    private static final int RTLD_NOW = 2;

    private static final MethodHandle DLOPEN = bind("dlopen", "ppi");
    private static final MethodHandle DLSYM = bind("dlsym", "ppp");
    private static final MethodHandle DLERROR = bind("dlerror", "p");
    private static final MethodHandle SETENV = bind("setenv", "ippi");
    private static final MethodHandle GET_AFFINITY = bind("sched_getaffinity", "iilp");
    private static final MethodHandle SET_AFFINITY = bind("sched_setaffinity", "iilp");
    private static final MethodHandle MMAP = bind("mmap", "ppliiil");
    private static final MethodHandle MUNMAP = bind("munmap", "ipl");
    private static final MethodHandle MADVISE = bind("madvise", "ipli");

    private Libc() {}

    private static MethodHandle bind(String name, String letters) {
        return Downcalls.link(Linker.nativeLinker().defaultLookup().find(name).orElseThrow(), letters);
    }

    /** Opens a library by full path or soname; throws with the loader's own words. */
    static MemorySegment dlopen(String file) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = (MemorySegment) DLOPEN.invokeExact(arena.allocateFrom(file), RTLD_NOW);
            if (handle.address() != 0) return handle;
            throw new NativeException("dlopen", 0, NativeMemory.text((MemorySegment) DLERROR.invokeExact()));
        } catch (Throwable t) {
            throw Downcalls.failure("dlopen", t);
        }
    }

    /** The address of a name, or NULL. */
    static MemorySegment dlsym(MemorySegment handle, String name) {
        try (Arena arena = Arena.ofConfined()) {
            return (MemorySegment) DLSYM.invokeExact(handle, arena.allocateFrom(name));
        } catch (Throwable t) {
            throw Downcalls.failure("dlsym", t);
        }
    }

    /** Sets a variable of this process's environment unless it is set already; C code sees it, Java does not. */
    static void setDefault(String name, String value) {
        setenv(name, value, 0);
    }

    /** Sets a variable of this process's environment. */
    static void set(String name, String value) {
        setenv(name, value, 1);
    }

    private static void setenv(String name, String value, int overwrite) {
        try (Arena arena = Arena.ofConfined()) {
            int status = (int) SETENV.invokeExact(arena.allocateFrom(name), arena.allocateFrom(value), overwrite);
            if (status != 0) throw new NativeException("setenv", status, "could not set " + name);
        } catch (Throwable t) {
            throw Downcalls.failure("setenv", t);
        }
    }

    /** Writes the cores that the calling thread may run on, a bit each. */
    static void affinity(MemorySegment mask) {
        affinity("sched_getaffinity", GET_AFFINITY, mask);
    }

    /** Sets them; cores that the process may not use are left out. */
    static void setAffinity(MemorySegment mask) {
        affinity("sched_setaffinity", SET_AFFINITY, mask);
    }

    private static void affinity(String name, MethodHandle call, MemorySegment mask) {
        try {
            int status = (int) call.invokeExact(0, mask.byteSize(), mask);
            if (status != 0) throw new NativeException(name, status, "the system refused");
        } catch (Throwable t) {
            throw Downcalls.failure(name, t);
        }
    }

    /** Fresh zeroed private pages, or an address of -1. */
    static MemorySegment mmap(long bytes) {
        final int readWrite = 3;
        final int privateAnonymous = 0x22;
        try {
            return (MemorySegment) MMAP.invokeExact(MemorySegment.NULL, bytes, readWrite, privateAnonymous, -1, 0L);
        } catch (Throwable t) {
            throw Downcalls.failure("mmap", t);
        }
    }

    static void munmap(MemorySegment at, long bytes) {
        try {
            int status = (int) MUNMAP.invokeExact(at, bytes);
            if (status != 0) throw new NativeException("munmap", status, bytes + " bytes");
        } catch (Throwable t) {
            throw Downcalls.failure("munmap", t);
        }
    }

    /** Asks for huge pages; false if the kernel has none, which costs only speed. */
    static boolean adviseHugePages(MemorySegment at, long bytes) {
        final int hugePage = 14;
        try {
            return (int) MADVISE.invokeExact(at, bytes, hugePage) == 0;
        } catch (Throwable t) {
            throw Downcalls.failure("madvise", t);
        }
    }
}
