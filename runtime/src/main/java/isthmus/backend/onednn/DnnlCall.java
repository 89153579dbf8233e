package isthmus.backend.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DST;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_SCRATCHPAD;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_SRC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_SCRATCHPAD_MD;

import isthmus.bindings.onednn.MemoryText;
import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.PrimitiveDescs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A primitive with its argument block: made when a kernel is prepared, given addresses when it is bound, then only run. */
final class DnnlCall {
    private static final int MOST_ARGUMENTS = 8;

    private final Dnnl dnnl;
    private final Handles handles;
    private final MemorySegment desc;
    private final MemorySegment primitive;
    private final MemorySegment arguments;
    private final long scratchAt;
    private final MemorySegment[] memories = new MemorySegment[MOST_ARGUMENTS];
    private int count;
    private boolean complete;

    /** Takes scratch memory from the kernel if the primitive wants some. */
    DnnlCall(DnnlKernel kernel, MemorySegment desc) {
        this.dnnl = kernel.dnnl;
        this.handles = kernel.handles;
        this.desc = desc;
        this.primitive = handles.primitive(OneDnn.primitiveCreate(desc));
        Arena arena = Arena.ofShared();
        handles.also(arena::close);
        this.arguments = arena.allocate(OneDnn.EXEC_ARG_BYTES * MOST_ARGUMENTS, 16);
        long bytes = OneDnn.memoryDescGetSize(query(DNNL_QUERY_SCRATCHPAD_MD));
        this.scratchAt = bytes == 0 ? -1 : kernel.reserve(bytes);
    }

    /** A copy between layouts and element types. */
    static DnnlCall reorder(DnnlKernel kernel, MemorySegment from, MemorySegment to) {
        return new DnnlCall(kernel, kernel.handles.primitiveDesc(
                PrimitiveDescs.reorder(from, kernel.dnnl.engine, to, kernel.dnnl.engine, kernel.dnnl.attributes)));
    }

    /** A layout that the primitive chose; owned by it. */
    MemorySegment query(int what) {
        return OneDnn.primitiveDescQueryMd(desc, what, 0);
    }

    String implementation() { return MemoryText.implementation(desc); }

    /** Says where an argument lies; when binding anew, in the order of the first time. */
    DnnlCall arg(int arg, MemorySegment layout, MemorySegment at) {
        if (complete) {
            complete = false;
            count = 0;
        }
        if (memories[count] == null) memories[count] = handles.memory(OneDnn.memoryCreate(layout, dnnl.engine, at));
        else
            OneDnn.memorySetDataHandle(memories[count], at);
        OneDnn.putExecArg(arguments, count, arg, memories[count]);
        count++;
        return this;
    }

    /** Says where the scratch memory lies, once all arguments are given. */
    DnnlCall scratch(MemorySegment kernelScratch) {
        if (scratchAt >= 0) arg(DNNL_ARG_SCRATCHPAD, query(DNNL_QUERY_SCRATCHPAD_MD), kernelScratch.asSlice(scratchAt));
        complete = true;
        return this;
    }

    /** Binds a reorder. */
    void bindReorder(MemorySegment fromLayout, MemorySegment from, MemorySegment toLayout, MemorySegment to,
            MemorySegment scratch) {
        arg(DNNL_ARG_SRC, fromLayout, from).arg(DNNL_ARG_DST, toLayout, to).scratch(scratch);
    }

    void run() { OneDnn.execute(primitive, dnnl.stream, count, arguments); }
}
