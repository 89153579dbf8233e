package isthmus.profile;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Call;
import isthmus.nn.Model;
import isthmus.train.StepOutline;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What a training step would move and compute, from its plan alone: nothing is run and no arena is taken.
 *
 * @param arenaBytes activations and scratch memory
 * @param weightBytes weights, gradients, moments
 * @param bytes least traffic of forward and backward by the plan's own calls; see {@link Call}
 * @param updateBytes least traffic of the optimizer
 * @param floor least time of the planned calls and the update
 * @param levels what others' fusion would move, by {@link FusionLevels}, and as published
 */
public record Explanation(String model, int batch, String dtype, int size, String device, long parameters, int calls,
        long arenaBytes, long weightBytes, long bytes, long updateBytes, long flops, PerSample perSample, Floor floor,
        List<LevelRow> levels, List<OpRow> ops, List<CallRow> rows) {
    /** The same a sample, the update's share included. */
    public record PerSample(double megabytes, double gflop, double arenaMegabytes) {}

    /**
     * A least time: the sum over kernels of the more of bytes at the bandwidth and operations at the peak.
     *
     * @param seconds a step
     */
    public record Floor(Ceiling ceiling, double seconds, double samplesPerSecond) {}

    /** One level of fusion; published figures are 0 where there are none for this model and size. */
    public record LevelRow(String level, String means, double megabytesPerSample, double samplesPerSecond,
            double publishedMegabytesPerSample, double publishedSamplesPerSecond) {}

    /** All calls of an op, and the share of the floor that they have. */
    public record OpRow(String op, int calls, long bytes, long flops, double floorMs, double share) {}

    /** One call. */
    public record CallRow(String op, String label, String implementation, String dtype, String shapes, long bytes,
            long flops, double floorUs) {}

    private static final double MB = 1e6;

    /** Plans a step. */
    public static Explanation of(Workload work, String device, Backend backend, Ceiling ceiling) {
        backend.enter();
        Model network = work.network();
        StepOutline step = StepOutline.of(network, work.options(network, backend), backend);
        List<CallRow> rows = new ArrayList<>();
        for (Call c : step.calls())
            rows.add(row(c, ceiling));
        rows.add(new CallRow(work.optimizer(), "weights", "the update", "f32",
                Long.toString(network.table().elements()), step.updateBytes(), 0,
                1e6 * ceiling.seconds(step.updateBytes(), 0, false)));
        long bytes = step.calls().stream().mapToLong(Call::bytes).sum();
        long flops = step.calls().stream().mapToLong(Call::flops).sum();
        double seconds = rows.stream().mapToDouble(CallRow::floorUs).sum() / 1e6;
        int n = work.batch();
        return new Explanation(work.model(), n,
                Precision.parse(work.precision(), backend).name().toLowerCase(Locale.ROOT),
                work.size(), device, network.table().elements(), step.calls().size(), step.arenaBytes(),
                step.weightBytes(), bytes, step.updateBytes(), flops,
                new PerSample((bytes + step.updateBytes()) / MB / n, flops / 1e9 / n, step.arenaBytes() / MB / n),
                new Floor(ceiling, seconds, n / seconds), levels(work, network, ceiling), ops(rows, seconds), rows);
    }

    /** The least seconds of a step: its calls, and an update that moves so many bytes. */
    public static double floorSeconds(List<Call> calls, long updateBytes, Ceiling ceiling) {
        return calls.stream().mapToDouble(c -> ceiling.seconds(c.bytes(), c.flops(), Ceiling.isMatrix(c.node()))).sum()
                + ceiling.seconds(updateBytes, 0, false);
    }

    private static CallRow row(Call c, Ceiling ceiling) {
        return new CallRow(c.node().op().name(), c.node().label(), c.implementation(),
                c.type().name().toLowerCase(Locale.ROOT), Profile.shapes(c.node()), c.bytes(), c.flops(),
                1e6 * ceiling.seconds(c.bytes(), c.flops(), Ceiling.isMatrix(c.node())));
    }

    private static List<LevelRow> levels(Workload work, Model network, Ceiling ceiling) {
        List<LevelRow> rows = new ArrayList<>();
        int n = work.batch();
        for (FusionLevels.Total t : FusionLevels.of(network, n, ceiling)) {
            Published p = Published.of(work, t.level());
            rows.add(new LevelRow(t.level().name(), t.level().means(), t.bytes() / MB / n, n / t.seconds(),
                    p.megabytes(), p.samplesPerSecond()));
        }
        return rows;
    }

    private static List<OpRow> ops(List<CallRow> rows, double seconds) {
        Map<String, List<CallRow>> byOp = rows.stream().collect(Collectors.groupingBy(CallRow::op));
        List<OpRow> ops = new ArrayList<>();
        byOp.forEach((op, of) -> {
            double us = of.stream().mapToDouble(CallRow::floorUs).sum();
            ops.add(new OpRow(op, of.size(), of.stream().mapToLong(CallRow::bytes).sum(),
                    of.stream().mapToLong(CallRow::flops).sum(), us / 1e3, us / 1e6 / seconds));
        });
        ops.sort(Comparator.comparingDouble(OpRow::floorMs).reversed());
        return ops;
    }

    /**
     * Floors of an H200 in half precision that our survey of published results computed from the PyTorch modules
     * (torchvision's and MONAI's), at the batch that each is compared at.
     */
    private record Published(double megabytes, double samplesPerSecond) {
        private static final Published NONE = new Published(0, 0);
        private static final Map<String, Map<FusionLevels.Level, Published>> ALL = Map.of("resnet34",
                levels(162, 17_730, 114, 22_160, 91, 25_900), "efficientnet_b0",
                levels(293, 14_390, 217, 19_360, 149, 28_140), "densenet121",
                levels(636, 6_660, 425, 9_890, 280, 15_020), "segresnet", levels(9_300, 289, 6_600, 352, 5_600, 395),
                "retinanet3d", levels(19_000, 59, 14_000, 64, 11_000, 67));

        private static Map<FusionLevels.Level, Published> levels(double a, double aRate, double b, double bRate,
                double c, double cRate) {
            return Map.of(FusionLevels.Level.A, new Published(a, aRate), FusionLevels.Level.B, new Published(b, bRate),
                    FusionLevels.Level.C, new Published(c, cRate));
        }

        static Published of(Workload w, FusionLevels.Level level) {
            int edge = switch (w.model()) {
                case "segresnet" -> 96;
                case "retinanet3d" -> 192;
                default -> 224;
            };
            return w.size() == edge ? ALL.getOrDefault(w.model(), Map.of()).getOrDefault(level, NONE) : NONE;
        }
    }
}
