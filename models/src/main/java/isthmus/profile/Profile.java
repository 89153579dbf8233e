package isthmus.profile;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Call;
import isthmus.graph.Program;
import isthmus.nn.Model;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.report.Figures;
import isthmus.train.Trainer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Where the time of a training step goes, call by call, and what each call reaches of what the device could do. */
public final class Profile {
    /**
     * One call; times are medians.
     *
     * @param index position in the program; the optimizer comes last
     * @param label place in the network
     * @param shapes inputs and outputs
     * @param share of the step's time, 0 to 1
     * @param bytes least traffic; see {@link Call}
     * @param roofline share of what the device could do, 1 for all of it
     */
    public record Row(int index, String op, String label, String implementation, String dtype, String shapes, double ms,
            double share, long bytes, long flops, double gbPerS, double gflopPerS, double roofline,
            double liveMb) {}

    /**
     * A whole profile.
     *
     * @param stepMs median time of a step as it runs in training
     * @param callsMs sum of the rows
     * @param overhead {@code stepMs / callsMs}: what a step takes beyond its calls; 1 for nothing
     * @param hostUsPerCall least time of a call whose kernel has next to nothing to do
     * @param hostMs the same for all calls of a step
     * @param buildS time to build the program, and again in the same process, when kernels are known by their shapes
     * @param arenaMb memory of activations and scratch, MiB
     * @param weightsMb weights, gradients and the optimizer's moments, MiB
     * @param gbPerStep least traffic of a step
     */
    public record Result(String model, int batch, String dtype, int size, int threads, String machine,
            double copyGbPerS, double peakGflopPerS, double peakF32GflopPerS, double hostUsPerCall, double hostMs,
            double buildS, double buildAgainS, double arenaMb, double weightsMb, int calls, double stepMs,
            double callsMs, double overhead, double gbPerStep, double gflopPerStep, List<Row> rows) {}

    private static final int WARM_UP = 2;
    private static final int MOST_WARM_UP = 20_000;
    private static final long WARM_UP_NANOS = 1_000_000_000;
    private static final double MB = 1 << 20;

    private final Workload work;
    private final Backend backend;
    private final Roofline roofline;

    private Profile(Workload work, Backend backend, Roofline roofline) {
        this.work = work;
        this.backend = backend;
        this.roofline = roofline;
    }

    /** Runs {@code steps} steps call by call and as many without looking; what the device can do is measured before. */
    public static Result run(Workload work, Backend backend, int threads, int steps) {
        backend.enter();
        return run(work, backend, Roofline.measure(backend, Precision.parse(work.precision(), backend)), threads,
                steps);
    }

    /** The same against what the device is known to do. */
    public static Result run(Workload work, Backend backend, Roofline roofline, int threads, int steps) {
        backend.enter();
        return new Profile(work, backend, roofline).measure(threads, Precision.parse(work.precision(), backend), steps);
    }

    private Result measure(int threads, Precision precision, int steps) {
        Model network = work.network();
        long begin = System.nanoTime();
        double[] build = new double[2];
        List<Row> rows;
        double stepMs;
        Program program;
        double weights;
        try (Trainer trainer = work.compile(network, backend)) {
            build[0] = (System.nanoTime() - begin) / 1e9;
            work.fill(network, trainer);
            program = trainer.program();
            weights = trainer.weightBytes();
            long[][] nanos = time(trainer, steps);
            stepMs = Figures.median(nanos[0]) / 1e6;
            rows = rows(trainer, Arrays.copyOfRange(nanos, 1, nanos.length));
        }
        double calls = rows.stream().mapToDouble(Row::ms).sum();
        begin = System.nanoTime();
        work.compile(work.network(), backend).close();
        build[1] = (System.nanoTime() - begin) / 1e9;
        return new Result(work.model(), work.batch(), precision.name().toLowerCase(Locale.ROOT), work.size(), threads,
                Machine.here().toString(), round(roofline.bytesPerSecond() / 1e9), round(roofline.half() / 1e9),
                round(roofline.float32() / 1e9), Figures.round(roofline.callNanos() / 1e3, 3),
                Figures.round(roofline.callNanos() * rows.size() / 1e6, 3),
                Figures.round(build[0], 3), Figures.round(build[1], 3),
                round(program.plan().bytes() / MB), round(weights / MB), rows.size(), Figures.round(stepMs, 2),
                Figures.round(calls, 2), Figures.round(stepMs / calls, 3),
                Figures.round(rows.stream().mapToLong(Row::bytes).sum() / 1e9, 3),
                Figures.round(rows.stream().mapToLong(Row::flops).sum() / 1e9, 3), rows);
    }

    private static double round(double x) { return Figures.round(x, 1); }

    /** Times: of whole steps, then of each call, then of the optimizer. */
    private static long[][] time(Trainer trainer, int steps) {
        int calls = trainer.program().calls().size();
        var all = new long[calls + 2][steps];
        var one = new long[calls + 2];
        // A small network's step is run until the JVM has compiled what lies between its calls.
        long enough = System.nanoTime() + WARM_UP_NANOS;
        for (int i = 0; i < WARM_UP || (i < MOST_WARM_UP && System.nanoTime() < enough); i++)
            step(trainer, one);
        for (int i = 0; i < steps; i++) {
            step(trainer, one);
            for (int c = 0; c < one.length; c++)
                all[c][i] = one[c];
        }
        return all;
    }

    /** One step as a whole, then one call by call. */
    private static void step(Trainer trainer, long[] nanos) {
        long begin = System.nanoTime();
        trainer.forwardBackward();
        trainer.update(1);
        nanos[0] = System.nanoTime() - begin;
        var calls = new long[nanos.length - 2];
        trainer.program().run(calls);
        System.arraycopy(calls, 0, nanos, 1, calls.length);
        begin = System.nanoTime();
        trainer.update(1);
        nanos[nanos.length - 1] = System.nanoTime() - begin;
    }

    private List<Row> rows(Trainer trainer, long[][] nanos) {
        List<Call> calls = trainer.program().calls();
        double sum = Arrays.stream(nanos).mapToDouble(Figures::median).sum();
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < calls.size(); i++) {
            Call c = calls.get(i);
            double t = Figures.median(nanos[i]);
            rows.add(new Row(i, c.node().op().name(), c.node().label(), c.implementation(), name(c.type().name()),
                    shapes(c.node()), t / 1e6, t / sum, c.bytes(), c.flops(), c.bytes() / t, c.flops() / t,
                    roofline.share(c, t), c.liveBytes() / MB));
        }
        double t = Figures.median(nanos[calls.size()]);
        long bytes = trainer.updateBytes();
        rows.add(new Row(calls.size(), work.optimizer(), "weights", "own " + work.optimizer(), "f32",
                Long.toString(trainer.weights().table().elements()), t / 1e6, t / sum, bytes, 0, bytes / t, 0,
                bytes / roofline.bytesPerSecond() / (t / 1e9), 0));
        return rows;
    }

    private static String name(String type) { return type.toLowerCase(Locale.ROOT); }

    /** The first input and the first output, which are what a call is about; the rest follows from them. */
    static String shapes(Node n) {
        String in = n.inputs().isEmpty() ? "" : n.in(0).shape().toString();
        String out = n.outputs().isEmpty()
                ? ""
                : n.outputs().stream().map(Value::shape).findFirst().orElseThrow().toString();
        return in.equals(out) || out.isEmpty() ? in : in + " > " + out;
    }
}
