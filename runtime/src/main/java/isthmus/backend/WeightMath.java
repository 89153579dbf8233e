package isthmus.backend;

import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.kernels.UpdateKernels;
import java.lang.foreign.MemorySegment;

/**
 * One-pass arithmetic over flat float32 weights, gradients and moments, on a device. All segments are shared memory of the
 * {@linkplain Backend#allocate backend}; results stay on the device. Structures are those of
 * {@link isthmus.bindings.kernels.KernelStructs}. Nothing is allocated.
 */
public interface WeightMath {
    /** On the CPU, by our own kernels. */
    WeightMath HOST = new Host();

    /** One step of SGD; see {@link Kernels#sgd}. */
    void sgd(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, long n);

    /** One step of Adam, AdamW or AMSGrad; see {@link Kernels#adam}. */
    void adam(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, MemorySegment v,
            MemorySegment vmax, long n);

    /** {@code g += mu (p - p0)}. */
    void proximal(MemorySegment g, MemorySegment p, MemorySegment p0, float mu, long n);

    /** Writes the sum of squares as one float64, and as one int64 not 0 if an element is infinite or no number. */
    void gradientNorm(MemorySegment g, long n, MemorySegment sum, MemorySegment nonFinite);

    /** {@code y = x}. */
    void copy(MemorySegment x, MemorySegment y, long n);

    /** {@code y += factor x}. */
    void axpy(float factor, MemorySegment x, MemorySegment y, long n);

    /** {@code y += share (x - y)}. */
    void average(MemorySegment y, MemorySegment x, float share, long n);

    /** The CPU's. */
    final class Host implements WeightMath {
        private Host() {}

        @Override
        public void sgd(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, long n) {
            Kernels.sgd(options, p, g, m, n);
        }

        @Override
        public void adam(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, MemorySegment v,
                MemorySegment vmax, long n) {
            Kernels.adam(options, p, g, m, v, vmax, n);
        }

        @Override
        public void proximal(MemorySegment g, MemorySegment p, MemorySegment p0, float mu, long n) {
            Kernels.proximal(g, p, p0, mu, n);
        }

        @Override
        public void gradientNorm(MemorySegment g, long n, MemorySegment sum, MemorySegment nonFinite) {
            UpdateKernels.gradientNorm(g, n, sum, nonFinite);
        }

        @Override
        public void copy(MemorySegment x, MemorySegment y, long n) { Kernels.copy(x, y, n * Float.BYTES); }

        @Override
        public void axpy(float factor, MemorySegment x, MemorySegment y, long n) { Kernels.axpy(factor, x, y, n); }

        @Override
        public void average(MemorySegment y, MemorySegment x, float share, long n) {
            UpdateKernels.average(y, x, share, n);
        }
    }
}
