package isthmus.agent;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Turns channels-last pictures into ONNX's order. */
final class Nchw {
    private Nchw() {}

    /** Copies {@code count} pictures of {@code pixels} positions from {@code [N,H,W,C]} to {@code [N,C,H,W]}, float32. */
    static void of(MemorySegment nhwc, MemorySegment nchw, int count, int pixels, int channels) {
        for (int n = 0; n < count; n++) {
            long first = (long) n * pixels * channels;
            for (int p = 0; p < pixels; p++) {
                for (int c = 0; c < channels; c++) {
                    nchw.setAtIndex(ValueLayout.JAVA_FLOAT, first + (long) c * pixels + p,
                            nhwc.getAtIndex(ValueLayout.JAVA_FLOAT, first + (long) p * channels + c));
                }
            }
        }
    }
}
