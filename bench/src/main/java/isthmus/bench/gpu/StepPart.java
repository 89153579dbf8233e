package isthmus.bench.gpu;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.graph.Call;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.nn.Model;
import isthmus.profile.Ceiling;
import isthmus.profile.Explanation;
import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import isthmus.train.Trainer;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;

/** Measures a training step on data that lie in memory. */
final class StepPart {
    /**
     * What came out.
     *
     * @param gbPlanned arena, weights, gradients and moments
     * @param gbTaken by which the device's free memory fell
     * @param deviceMs median from a step's first work on the device to its last
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

    private static final int WARM_UP = 4;
    private static final int MOST_BAD = 24;
    private static final int MOST_STEPS = 5_000;
    private static final int SAMPLES = 15;
    private static final com.sun.management.ThreadMXBean THREADS = (com.sun.management.ThreadMXBean) ManagementFactory
            .getThreadMXBean();

    private final Backend backend;
    private final Trainer trainer;

    private StepPart(Backend backend, Trainer trainer) {
        this.backend = backend;
        this.trainer = trainer;
    }

    /** Arguments: device, model, batch, precision, size, seconds to measure for, and {@code lora} for that. */
    public static void main(String[] args) {
        Workload usual = Workload.usual(args[1], args[3]);
        Workload work = new Workload(args[1], Integer.parseInt(args[2]), args[3], Integer.parseInt(args[4]),
                usual.channels(), usual.classes(), usual.optimizer());
        boolean lora = args.length > 6 && args[6].equals("lora");
        try (Backend backend = Backends.open(args[0], 1)) {
            System.out.println(JsonFile.line(measure(work, lora, args[0], backend, Double.parseDouble(args[5]))));
        }
    }

    private static Step measure(Workload work, boolean lora, String device, Backend backend, double seconds) {
        backend.enter();
        Model network = lora
                ? work.network().with(Adaptation.lora(new Lora(4, 16, List.of("fc1", "fc2"))))
                : work.network();
        Explanation plan = Explanation.of(work, device, backend, Ceiling.H200);
        long free = backend.freeBytes();
        long begin = System.nanoTime();
        try (Trainer trainer = work.compile(network, backend)) {
            double build = since(begin);
            work.fill(network, trainer);
            var part = new StepPart(backend, trainer);
            part.step();
            part.await();
            double first = since(begin);
            part.warmUp();
            return part.measure(work, lora, plan, seconds, new double[]{free - backend.freeBytes(), build, first});
        }
    }

    private static double since(long begin) { return (System.nanoTime() - begin) / 1e9; }

    /** As training does it, but that nobody asks for the loss. */
    private boolean step() {
        trainer.forwardBackward();
        return trainer.update(1);
    }

    private void await() { backend.synchronize(); }

    /** Until the scale of the loss has fallen to where no step overflows. */
    private void warmUp() {
        int good = 0;
        for (int i = 0; i < MOST_BAD && good < WARM_UP; i++)
            good = step() ? good + 1 : 0;
        await();
    }

    private Step measure(Workload work, boolean lora, Explanation plan, double seconds, double[] before) {
        long begin = System.nanoTime();
        step();
        await();
        int n = Math.clamp(Math.round(seconds / since(begin)), 2, MOST_STEPS);
        long heap = THREADS.getCurrentThreadAllocatedBytes();
        heap = THREADS.getCurrentThreadAllocatedBytes();
        double wall;
        double busy;
        try (var smi = new NvidiaSmi()) {
            begin = System.nanoTime();
            for (int i = 0; i < n; i++)
                step();
            await();
            wall = since(begin);
            heap = THREADS.getCurrentThreadAllocatedBytes() - heap;
            busy = smi.busy();
        }
        int samples = Math.min(n, SAMPLES);
        double device = device(samples);
        double host = host(samples);
        double loss = trainer.loss();
        if (!Double.isFinite(loss))
            throw new IllegalStateException("the loss is " + loss + "; the figures mean nothing");
        double each = wall / n;
        int batch = work.batch();
        // With adapters other weights are trained: what was planned for the whole network does not hold.
        double arena = trainer.program().plan().bytes() + trainer.weightBytes();
        long bytes = trainer.program().calls().stream().mapToLong(Call::bytes).sum() + trainer.updateBytes();
        long flops = trainer.program().calls().stream().mapToLong(Call::flops).sum();
        return new Step(work.model(), batch, plan.dtype(), work.size(), lora, n, digits(1 / each), digits(batch / each),
                digits(1e3 * each), digits(arena / 1e9), digits(before[0] / 1e9), digits(1e3 * device),
                digits(device / each), busy, digits(1e6 * host), digits((double) heap / n), digits(before[1]),
                digits(before[2]), loss, lora ? 0 : digits(plan.floor().samplesPerSecond()),
                digits(bytes / 1e6 / batch), digits(flops / 1e9 / batch));
    }

    private double device(int samples) {
        double[] all = new double[samples];
        try (Backend.Stopwatch clock = backend.stopwatch()) {
            for (int i = 0; i < samples; i++) {
                clock.start();
                step();
                clock.stop();
                all[i] = clock.seconds();
            }
        }
        return median(all);
    }

    private double host(int samples) {
        double[] all = new double[samples];
        for (int i = 0; i < samples; i++) {
            await();
            long begin = System.nanoTime();
            step();
            all[i] = since(begin);
        }
        await();
        return median(all);
    }

    private static double median(double[] all) {
        Arrays.sort(all);
        return (all[(all.length - 1) / 2] + all[all.length / 2]) / 2;
    }

    /** Four digits are more than a measurement is worth. */
    static double digits(double x) {
        if (x == 0 || !Double.isFinite(x)) return x;
        return new java.math.BigDecimal(x).round(new java.math.MathContext(4)).doubleValue();
    }
}
