package isthmus.bench;

import isthmus.bindings.kernels.KernelStructs;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** One step of each optimizer, and the passes around it, on as many float32 weights as a network has. */
@State(Scope.Thread)
public class OptimizerBenchmark {
    /** DenseNet-121's and ConvNet2's. */
    @Param({"6968206", "25711122"})
    private long weights;

    private MemorySegment p;
    private MemorySegment g;
    private MemorySegment m;
    private MemorySegment v;
    private MemorySegment vmax;
    private MemorySegment sgd;
    private MemorySegment adam;
    private MemorySegment adamw;
    private MemorySegment sum;
    private MemorySegment count;

    @Setup
    public void allocate(Cpu cpu) {
        p = cpu.floats(weights);
        g = cpu.floats(weights);
        m = cpu.floats(weights);
        v = cpu.backend().allocate(weights * Float.BYTES, cpu.arena());
        vmax = cpu.backend().allocate(weights * Float.BYTES, cpu.arena());
        sgd = cpu.arena().allocate(KernelStructs.SGD_BYTES, 8);
        KernelStructs.putSgd(sgd, 1e-6, 0.9, 0, 0, 1, 2, false);
        adam = adam(cpu, 0, false);
        adamw = adam(cpu, 0.01, true);
        sum = cpu.arena().allocate(ValueLayout.JAVA_DOUBLE);
        count = cpu.arena().allocate(ValueLayout.JAVA_LONG);
    }

    private static MemorySegment adam(Cpu cpu, double decay, boolean decoupled) {
        MemorySegment options = cpu.arena().allocate(KernelStructs.ADAM_BYTES, 8);
        KernelStructs.putAdam(options, 1e-6, 0.9, 0.999, 1e-8, decay, 1, 1000, decoupled);
        return options;
    }

    private void moved(Traffic traffic, int arrays) { traffic.bytes += arrays * weights * Float.BYTES; }

    /** With momentum: reads weights, gradients and moments, writes weights and moments. */
    @Benchmark
    public void sgd(Cpu cpu, Traffic traffic) {
        cpu.backend().math().sgd(sgd, p, g, m, weights);
        moved(traffic, 5);
    }

    @Benchmark
    public void adam(Cpu cpu, Traffic traffic) {
        cpu.backend().math().adam(adam, p, g, m, v, MemorySegment.NULL, weights);
        moved(traffic, 7);
    }

    @Benchmark
    public void adamw(Cpu cpu, Traffic traffic) {
        cpu.backend().math().adam(adamw, p, g, m, v, MemorySegment.NULL, weights);
        moved(traffic, 7);
    }

    @Benchmark
    public void amsgrad(Cpu cpu, Traffic traffic) {
        cpu.backend().math().adam(adam, p, g, m, v, vmax, weights);
        moved(traffic, 9);
    }

    /** For clipping and for the search for overflows. */
    @Benchmark
    public void gradientNorm(Cpu cpu, Traffic traffic) {
        cpu.backend().math().gradientNorm(g, weights, sum, count);
        moved(traffic, 1);
    }

    /** The moving average of the weights. */
    @Benchmark
    public void average(Cpu cpu, Traffic traffic) {
        cpu.backend().math().average(m, p, 0.01f, weights);
        moved(traffic, 3);
    }
}
