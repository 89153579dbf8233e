package isthmus.backend.onednn;

import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/** Owns oneDNN handles and destroys them in reverse order of their making. */
final class Handles implements AutoCloseable {
    private final Deque<Runnable> destroy = new ArrayDeque<>();

    MemorySegment desc(MemorySegment md) {
        destroy.push(() -> OneDnn.memoryDescDestroy(md));
        return md;
    }

    MemorySegment primitiveDesc(MemorySegment pd) {
        destroy.push(() -> OneDnn.primitiveDescDestroy(pd));
        return pd;
    }

    MemorySegment primitive(MemorySegment p) {
        destroy.push(() -> OneDnn.primitiveDestroy(p));
        return p;
    }

    MemorySegment memory(MemorySegment m) {
        destroy.push(() -> OneDnn.memoryDestroy(m));
        return m;
    }

    void also(Runnable close) { destroy.push(close); }

    @Override
    public void close() {
        while (!destroy.isEmpty())
            destroy.pop().run();
    }
}
