package isthmus.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** Memory outside the Java heap: views of addresses that native code returned, and large zeroed blocks. */
public final class NativeMemory {
    private static final long PAGE = 4096;
    private static final long HUGE_PAGE = 2L << 20;

    private NativeMemory() {}

    /** A view of {@code bytes} bytes at an address that native code returned; nothing owns or frees it. */
    public static MemorySegment view(MemorySegment address, long bytes) {
        return address.reinterpret(bytes);
    }

    /** A view of a block that native code allocated; the arena owns it and gives it back by {@code release}. */
    public static MemorySegment owned(MemorySegment address, long bytes, Arena arena, Consumer<MemorySegment> release) {
        return address.reinterpret(bytes, arena, freed -> release.accept(address));
    }

    /** The zero-terminated text at an address that native code returned. */
    public static String text(MemorySegment address) {
        return address.address() == 0 ? "" : address.reinterpret(Long.MAX_VALUE).getString(0);
    }

    /**
     * Zeroed memory that the arena owns, aligned to a page, or to 2 MiB and asked to lie on huge pages from that size on.
     * Throws OutOfMemoryError with the size if there is none.
     */
    public static MemorySegment allocate(long bytes, Arena arena) {
        if (bytes < 0) throw new IllegalArgumentException("a block of " + bytes + " bytes");
        boolean huge = bytes >= HUGE_PAGE;
        // One huge page more than asked, so that an aligned start always fits; untouched pages cost nothing.
        long mapped = (Math.max(bytes, 1) + PAGE - 1) / PAGE * PAGE + (huge ? HUGE_PAGE : 0);
        MemorySegment start = Libc.mmap(mapped);
        if (start.address() == -1) throw new OutOfMemoryError("no memory outside the heap for " + bytes + " bytes");
        long skip = huge ? Math.floorMod(-start.address(), HUGE_PAGE) : 0;
        if (huge) Libc.adviseHugePages(start.reinterpret(mapped).asSlice(skip), mapped - skip);
        MemorySegment at = MemorySegment.ofAddress(start.address() + skip);
        return at.reinterpret(bytes, arena, freed -> Libc.munmap(start, mapped));
    }
}
