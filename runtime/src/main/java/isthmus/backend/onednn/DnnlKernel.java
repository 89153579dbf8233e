package isthmus.backend.onednn;

import isthmus.backend.Kernel;

/** What kernels made of oneDNN primitives share: the handles they own and the layout of their scratch memory. */
abstract class DnnlKernel implements Kernel {
    final Dnnl dnnl;
    final Handles handles = new Handles();
    private long scratch;

    DnnlKernel(Dnnl dnnl) { this.dnnl = dnnl; }

    /** Takes a stretch of scratch memory; returns where it begins. */
    final long reserve(long bytes) {
        long at = scratch;
        scratch += (bytes + 63) / 64 * 64;
        return at;
    }

    @Override
    public final long scratchBytes() { return scratch; }

    @Override
    public final void close() { handles.close(); }
}
