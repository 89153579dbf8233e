package isthmus.backend.cuda;

import java.lang.foreign.MemorySegment;

/**
 * One way to compute a convolution or a derivative of it: a plan of cuDNN's, or kernels of our own. Activations are
 * channels-last in the problem's type, and so are weights that are read: {@code [O,taps,I]}, as {@link ComputeCopy} keeps
 * them. Gradients of weights are written as parameters lie, float32 {@code [O,I,taps]}.
 */
interface ConvEngine extends AutoCloseable {
    /** What it is called in listings and in stored choices. */
    String name();

    /** Bytes of scratch memory. */
    long scratch();

    /** Adds its calls on fixed addresses. */
    void bind(Launches to, MemorySegment x, MemorySegment w, MemorySegment y, MemorySegment scratch);

    @Override
    default void close() {}
}
