package isthmus.bench.gpu;

import static isthmus.report.Figures.digits;
import static isthmus.report.Figures.median;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.graph.Call;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.nn.Model;
import isthmus.profile.Ceiling;
import isthmus.profile.Explanation;
import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import isthmus.train.BatchSource;
import isthmus.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.function.DoubleSupplier;

/** Measures a training step on data that lie in the device's memory. */
final class StepPart {
    /**
     * What came out.
     *
     * @param gbPlanned arena, weights, gradients and moments
     * @param gbTaken by which the device's free memory fell
     * @param stepMs with the next step under way while one is done, as training does it
     * @param deviceMs median from a step's first work on the device to its last, one step at a time
     * @param gpuBusy the device's share of the time: that, over the time of a step
     * @param nvidiaSmiBusy what NVIDIA's tool said meanwhile, 0 to 1; NaN without it
     * @param hostUs median of the time until a step's calls have returned, with nothing else under way
     * @param heapBytesPerStep that the training thread allocated on the Java heap
     * @param firstStepS until the end of the first step
     * @param floorSamplesPerS that the plan's bytes and operations allow on an H200
     */
    record Step(String model, int batch, String dtype, int size, boolean lora, int steps, double stepsPerS,
            double imagesPerS, double stepMs, double gbPlanned, double gbTaken, double deviceMs, double gpuBusy,
            double nvidiaSmiBusy, double hostUs, double heapBytesPerStep, double buildS, double firstStepS, double loss,
            double floorSamplesPerS, double megabytesPerSample, double gflopPerSample) {}

    private static final int WARM_UP = 12;
    private static final int MOST_STEPS = 5_000;
    private static final int SAMPLES = 15;
    private static final com.sun.management.ThreadMXBean THREADS = (com.sun.management.ThreadMXBean) ManagementFactory
            .getThreadMXBean();

    private StepPart() {}

    /** Steps on a batch that stays where it is, and when the host began and left each. */
    private static class Steps implements BatchSource, Trainer.Progress {
        private final int batch;
        private final int steps;
        private long begin;
        private long leave;
        private long heap;
        private int done;

        Steps(int batch, int steps) {
            this.batch = batch;
            this.steps = steps;
            THREADS.getCurrentThreadAllocatedBytes(); // its own first call takes some
        }

        @Override
        public int batchSize() { return batch; }

        @Override
        public int batches() { return steps; }

        @Override
        public boolean stays() { return true; }

        @Override
        public int next(MemorySegment images, MemorySegment labels) {
            if (done == 0) begin = System.nanoTime();
            return batch;
        }

        @Override
        public void step(int number, int of, long samples, DoubleSupplier loss) {
            done = number;
            if (number == 1) {
                leave = System.nanoTime();
                heap = -THREADS.getCurrentThreadAllocatedBytes();
            }
            if (number == of) heap += THREADS.getCurrentThreadAllocatedBytes();
        }

        /** Runs them and waits; seconds from the first to the end. */
        double run(Trainer trainer) {
            trainer.pass(this, this);
            return (System.nanoTime() - begin) / 1e9;
        }

        /** Seconds until the first step's calls had returned, with nothing else under way. */
        double host() {
            return (leave - begin) / 1e9;
        }

        /** Heap bytes a step, the first left out. */
        double heapBytes() { return (double) heap / (steps - 1); }
    }

    /** Arguments: device, model, batch, precision, size, seconds to measure for, and {@code lora} for that. */
    public static void main(String[] args) {
        Workload usual = Workload.usual(args[1], args[3]);
        Workload work = new Workload(args[1], Integer.parseInt(args[2]), args[3], Integer.parseInt(args[4]),
                usual.channels(), usual.classes(), usual.optimizer());
        boolean lora = args.length > 6 && args[6].equals("lora");
        try (Backend backend = Backends.open(args[0], 1)) {
            System.out.println(JsonFile.line(measure(work, lora, backend, Double.parseDouble(args[5]))));
        }
    }

    private static Step measure(Workload work, boolean lora, Backend backend, double seconds) {
        backend.enter();
        Model network = lora
                ? work.network().with(Adaptation.lora(new Lora(4, 16, List.of("fc1", "fc2"))))
                : work.network();
        long free = backend.freeBytes();
        long begin = System.nanoTime();
        try (Trainer trainer = work.compile(network, backend)) {
            double build = since(begin);
            work.fill(network, trainer);
            new Steps(work.batch(), 1).run(trainer);
            double first = since(begin);
            double[] before = {free - backend.freeBytes(), build, first};
            // At first half precision's scale of the loss may overflow; the step is recorded meanwhile.
            int warmUp = seconds < 1 ? 1 : WARM_UP;
            double each = new Steps(work.batch(), warmUp).run(trainer) / warmUp;
            int n = Math.clamp(Math.round(seconds / each), 2, MOST_STEPS);
            return measure(work, lora, trainer, backend, n, seconds < 1 ? 1 : SAMPLES, before);
        }
    }

    private static double since(long begin) { return (System.nanoTime() - begin) / 1e9; }

    private static Step measure(Workload work, boolean lora, Trainer trainer, Backend backend, int n,
            int samples, double[] before) {
        var timed = new Steps(work.batch(), n);
        double wall;
        double busy;
        try (var smi = new NvidiaSmi()) {
            wall = timed.run(trainer);
            busy = smi.busy();
        }
        double device = device(work.batch(), trainer, backend, samples);
        double[] hosts = new double[samples];
        for (int i = 0; i < samples; i++) {
            var one = new Steps(work.batch(), 1);
            one.run(trainer);
            hosts[i] = one.host();
        }
        double host = median(hosts);
        double loss = trainer.loss();
        if (!Double.isFinite(loss))
            throw new IllegalStateException("the loss is " + loss + "; the figures mean nothing");
        double each = wall / n;
        int batch = work.batch();
        double arena = trainer.program().plan().bytes() + trainer.weightBytes();
        long bytes = trainer.program().calls().stream().mapToLong(Call::bytes).sum() + trainer.updateBytes();
        long flops = trainer.program().calls().stream().mapToLong(Call::flops).sum();
        double floor = Explanation.floorSeconds(trainer.program().calls(), trainer.updateBytes(), Ceiling.H200);
        return new Step(work.model(), batch,
                Precision.parse(work.precision(), backend).name().toLowerCase(java.util.Locale.ROOT), work.size(), lora,
                n, digits(1 / each), digits(batch / each), digits(1e3 * each), digits(arena / 1e9),
                digits(before[0] / 1e9), digits(1e3 * device), digits(device / each), busy, digits(1e6 * host),
                digits(timed.heapBytes()), digits(before[1]), digits(before[2]), loss, digits(batch / floor),
                digits(bytes / 1e6 / batch), digits(flops / 1e9 / batch));
    }

    /** Steps one by one, each between two events. */
    private static double device(int batch, Trainer trainer, Backend backend, int samples) {
        double[] all = new double[samples];
        try (Backend.Stopwatch clock = backend.stopwatch()) {
            new Steps(batch, samples) {
                @Override
                public int next(MemorySegment images, MemorySegment labels) {
                    clock.start();
                    return super.next(images, labels);
                }

                @Override
                public void step(int number, int of, long seen, DoubleSupplier loss) {
                    clock.stop();
                    all[number - 1] = clock.seconds();
                    super.step(number, of, seen, loss);
                }
            }.run(trainer);
        }
        return median(all);
    }
}
