package isthmus.bindings.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** One geometry of pooling or convolution; every axis has its own numbers. */
final class Window {
    final int batch;
    final int channels;
    final int outChannels;
    final int groups;
    final long[] in;
    final long[] kernel;
    final long[] stride;
    final long[] padding;
    final long[] dilation;

    Window(int batch, int channels, int outChannels, int groups, long[] in, long[] kernel, long[] stride,
            long[] padding, long[] dilation) {
        this.batch = batch;
        this.channels = channels;
        this.outChannels = outChannels;
        this.groups = groups;
        this.in = in;
        this.kernel = kernel;
        this.stride = stride;
        this.padding = padding;
        this.dilation = dilation;
    }

    long[] out() {
        long[] out = new long[3];
        for (int d = 0; d < 3; d++)
            out[d] = (in[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d] + 1;
        return out;
    }

    @Override
    public String toString() {
        return batch + "x" + channels + Arrays.toString(in) + " to " + outChannels + " in " + groups + ", kernel "
                + Arrays.toString(kernel) + Arrays.toString(stride) + Arrays.toString(padding)
                + Arrays.toString(dilation);
    }

    MemorySegment write(Arena arena) {
        MemorySegment to = arena.allocate(KernelStructs.WINDOW_BYTES, 8);
        KernelStructs.putWindow(to, batch, channels, outChannels, groups, in, out(), kernel, stride, padding,
                dilation);
        return to;
    }

    int ins() { return volume(in); }

    int outs() { return volume(out()); }

    int taps() { return volume(kernel); }

    private static int volume(long[] v) { return (int) (v[0] * v[1] * v[2]); }

    /** Visits (sample, output, tap, input) for every tap that lies inside. */
    void each(Visitor visitor) {
        for (int n = 0; n < batch; n++)
            for (int o = 0; o < outs(); o++)
                for (int k = 0; k < taps(); k++) {
                    int at = input(o, k);
                    if (at >= 0) visitor.visit(n, n * outs() + o, k, n * ins() + at);
                }
    }

    private int input(int o, int k) {
        long[] os = split(o, out());
        long[] ks = split(k, kernel);
        long at = 0;
        for (int d = 0; d < 3; d++) {
            long p = os[d] * stride[d] - padding[d] + ks[d] * dilation[d];
            if (p < 0 || p >= in[d]) return -1;
            at = at * in[d] + p;
        }
        return (int) at;
    }

    private static long[] split(long at, long[] shape) {
        return new long[]{at / shape[2] / shape[1], at / shape[2] % shape[1], at % shape[2]};
    }

    static long[] v(long d, long h, long w) { return new long[]{d, h, w}; }

    /** What is done at each tap that lies inside. */
    interface Visitor {
        void visit(int sample, int out, int tap, int in);
    }
}
