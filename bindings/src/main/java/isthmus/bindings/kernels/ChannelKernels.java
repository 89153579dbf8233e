package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Channels side by side, and one factor a channel; as {@link Kernels}, which says what all calls share. */
public final class ChannelKernels {
    private ChannelKernels() {}

    /** {@code y[r,j] = x[r,j]}: c columns of rows that are ldx apart, to rows that are ldy apart. */
    public static void copyColumns(int dtype, MemorySegment x, long ldx, MemorySegment y, long ldy, long rows, long c) {
        try {
            check("ist_copy_columns", (int) Table.COPY_COLUMNS.invokeExact(dtype, x, ldx, y, ldy, rows, c));
        } catch (Throwable t) {
            throw failure("ist_copy_columns", t);
        }
    }

    /** {@code y[i,r,j] = x[i,r,j] s[i,j]}. */
    public static void scale(int dtype, MemorySegment x, MemorySegment s, MemorySegment y, long n, long rows, long c) {
        try {
            check("ist_scale_channels", (int) Table.SCALE_CHANNELS.invokeExact(dtype, x, s, y, n, rows, c));
        } catch (Throwable t) {
            throw failure("ist_scale_channels", t);
        }
    }

    /** Both gradients of {@link #scale} in one pass. */
    public static void scaleBackward(int dtype, MemorySegment x, MemorySegment s, MemorySegment dy, MemorySegment dx,
            MemorySegment ds, long n, long rows, long c) {
        try {
            check("ist_scale_channels_backward",
                    (int) Table.SCALE_CHANNELS_BACKWARD.invokeExact(dtype, x, s, dy, dx, ds, n, rows, c));
        } catch (Throwable t) {
            throw failure("ist_scale_channels_backward", t);
        }
    }
}
