package isthmus.profile;

import static isthmus.report.Figures.median;
import static isthmus.report.Figures.round;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.train.BatchSource;
import isthmus.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.DoubleSupplier;

/** Times whole training steps. */
public final class StepBenchmark {
    private static final com.sun.management.ThreadMXBean THREADS = (com.sun.management.ThreadMXBean) ManagementFactory
            .getThreadMXBean();

    /**
     * What came out; where PyTorch's side of the comparison has a figure of the same name, it means the same.
     *
     * @param dtype what was computed in: fp32, bf16 or f16
     * @param imagesPerS at the median step
     * @param stepMs median
     * @param firstStepS from the model's name to the end of the first step
     * @param buildS until the program was ready: graph, gradients, plan, kernels
     * @param peakRssMb most memory of the process, MiB
     * @param arenaMb memory of activations and scratch, MiB
     * @param heapBytesPerStep what the training thread allocated on the Java heap in the timed steps
     */
    public record Result(String model, int batch, String dtype, int size, String optimizer, int threads, int steps,
            long params, double imagesPerS, double stepMs, double stepMsMin, double stepMsMax, double sysCpuMsPerStep,
            double userCpuMsPerStep, long minorFaultsPerStep, double firstStepS, double buildS, double peakRssMb,
            double arenaMb, double heapBytesPerStep, double finalLoss) {}

    private StepBenchmark() {}

    /** Runs {@code warmUp} steps, at least one, and then times {@code steps}. */
    public static Result run(Workload work, Backend backend, int threads, int warmUp, int steps) {
        if (warmUp < 1 || steps < 1)
            throw new IllegalArgumentException(warmUp + " steps to warm up, " + steps + " to time; each is at least 1");
        long begin = System.nanoTime();
        backend.enter();
        Model network = work.network();
        try (Trainer trainer = work.compile(network, backend)) {
            double build = (System.nanoTime() - begin) / 1e9;
            work.fill(network, trainer);
            var clock = new Clock(work.batch(), warmUp, steps);
            trainer.pass(clock, clock);
            return result(work, threads, trainer, clock, new double[]{build, (clock.first - begin) / 1e9},
                    Precision.parse(work.precision(), backend));
        }
    }

    /**
     * The trainer's own loop is what is timed: this gives it batches, which lie in place already, and hears of every step.
     */
    private static final class Clock implements BatchSource, Trainer.Progress {
        private final int batch;
        private final int warmUp;
        private final long[] nanos;
        private long first;
        private long last;
        private long heap;
        private ProcessUsage before;
        private ProcessUsage after;

        Clock(int batch, int warmUp, int steps) {
            this.batch = batch;
            this.warmUp = warmUp;
            this.nanos = new long[steps];
            allocated(); // its own first call takes some
        }

        private static long allocated() { return THREADS.getCurrentThreadAllocatedBytes(); }

        @Override
        public int batchSize() { return batch; }

        @Override
        public int batches() { return warmUp + nanos.length; }

        @Override
        public boolean stays() { return true; }

        @Override
        public int next(MemorySegment images, MemorySegment labels) { return batch; }

        @Override
        public void step(int step, int steps, long samples, DoubleSupplier loss) {
            long now = System.nanoTime();
            if (step == 1) first = now;
            if (step > warmUp) nanos[step - warmUp - 1] = now - last;
            if (step == warmUp) {
                before = ProcessUsage.now();
                heap = allocated();
            } else if (step == steps) {
                heap = allocated() - heap;
                after = ProcessUsage.now();
            }
            last = System.nanoTime();
        }
    }

    private static Result result(Workload w, int threads, Trainer trainer, Clock clock, double[] seconds,
            Precision precision) {
        double loss = trainer.loss();
        if (!Double.isFinite(loss))
            throw new IllegalStateException("the loss is " + loss + "; the figures mean nothing");
        long[] nanos = clock.nanos;
        Arrays.sort(nanos);
        int n = nanos.length;
        double ms = median(nanos) / 1e6;
        double mb = 1 << 20;
        return new Result(w.model(), w.batch(), precision.name().toLowerCase(Locale.ROOT), w.size(), w.optimizer(),
                threads, n, trainer.weights().table().elements(), round(1e3 * w.batch() / ms, 3), round(ms, 2),
                round(nanos[0] / 1e6, 2), round(nanos[n - 1] / 1e6, 2),
                round((clock.after.systemMs() - clock.before.systemMs()) / n, 1),
                round((clock.after.userMs() - clock.before.userMs()) / n, 1),
                (clock.after.minorFaults() - clock.before.minorFaults()) / n, round(seconds[1], 2),
                round(seconds[0], 2),
                round(ProcessUsage.peakRssMb(), 1), round(trainer.program().plan().bytes() / mb, 1),
                round((double) clock.heap / n, 1), round(loss, 6));
    }
}
