package isthmus.train;

import isthmus.backend.Backend;
import isthmus.nn.Model;
import isthmus.tensor.HostMath;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * What one training step on one batch tells about a network's health.
 *
 * @param loss of the batch, before the step
 * @param frozen names of the parameters that training does not change
 * @param layers in running order of their parameters
 * @param rectifiers every ReLU
 * @param warnings one line each, empty if nothing looks wrong
 */
public record Diagnosis(double loss, List<String> frozen, List<Layer> layers, List<Rectifier> rectifiers,
        List<String> warnings) {
    /**
     * One layer: parameters whose names agree up to the last dot.
     *
     * @param trained parameters (elements) that training changes
     * @param fixed parameters (elements) that it does not change; running statistics count as neither
     * @param gradientNorm L2 norm of the batch's gradient over the trained ones; nothing if none is trained
     * @param updateRatio L2 norm of the step's change over that of the weights before it, trained ones only; about 1e-3
     *            is usual; nothing if none is trained or all were zero
     */
    public record Layer(String name, long trained, long fixed, OptionalDouble gradientNorm,
            OptionalDouble updateRatio) {}

    /**
     * One ReLU.
     *
     * @param after the layer whose results it takes
     * @param units channels, or features
     * @param dead of them, those that are zero for every sample and position
     */
    public record Rectifier(String after, int units, int dead) {
        /** Share of units that are dead. */
        public double share() { return (double) dead / units; }
    }

    private static final double MANY_DEAD = 0.5;

    /**
     * Takes one step with the run's own loss, optimizer, precision and seed, at the full learning rate.
     *
     * @param weights to begin with; they stay as they are
     * @param source gives the one batch
     */
    public static Diagnosis of(Model model, WeightBuffer weights, Trainer.Options options, BatchSource source,
            Backend backend) {
        try (Trainer trainer = new Trainer(model, options, backend)) {
            trainer.weights().copyFrom(weights);
            backend.enter();
            source.next(trainer.images(), trainer.labels());
            List<Rectifier> rectifiers = DeadUnits.count(model, weights, trainer.images(), options.batch(),
                    options.precision(), backend);
            trainer.forwardBackward();
            double loss = trainer.loss();
            Map<String, Double> gradients = norms(model.table(), trainer.gradients());
            double scale = trainer.lossScale();
            gradients.replaceAll((name, sum) -> sum / (scale * scale));
            // A step along a gradient that is no number is refused where clipping looks at it.
            if (gradients.values().stream().allMatch(Double::isFinite)) trainer.update(1);
            List<Layer> layers = layers(model.table(), gradients, norms(model.table(), weights),
                    moved(model.table(), weights, trainer.weights()));
            List<String> frozen = model.table().entries().stream().filter(e -> e.region() == Region.FROZEN)
                    .map(WeightTable.Entry::name).toList();
            List<String> warnings = new ArrayList<>();
            if (!Double.isFinite(loss)) warnings.add("the loss is " + loss);
            layers.forEach(l -> warn(l, warnings));
            rectifiers.forEach(r -> warn(r, warnings));
            for (LinearPairs.Pair p : LinearPairs.of(model.graph(options.batch(), true)))
                warnings.add(p.first() + " feeds " + p.second() + " with no non-linearity between: together they are "
                        + "one linear map; put an activation between unless it is meant (bottlenecks, feature pyramids)");
            return new Diagnosis(loss, frozen, layers, rectifiers, List.copyOf(warnings));
        }
    }

    private static Map<String, Double> norms(WeightTable table, WeightBuffer values) {
        Map<String, Double> norms = new LinkedHashMap<>();
        for (WeightTable.Entry e : table.entries())
            if (e.region() == Region.TRAINABLE)
                norms.put(e.name(), HostMath.sumOfSquares(values.slice(e), e.elements()));
        return norms;
    }

    private static Map<String, Double> moved(WeightTable table, WeightBuffer before, WeightBuffer after) {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer change = WeightBuffer.allocate(table, arena);
            MemorySegment all = change.segment();
            HostMath.difference(after.segment(), before.segment(), all, table.elements());
            return norms(table, change);
        }
    }

    private static String layer(String parameter) {
        return parameter.substring(0, Math.max(0, parameter.lastIndexOf('.')));
    }

    private static List<Layer> layers(WeightTable table, Map<String, Double> gradients, Map<String, Double> weights,
            Map<String, Double> moved) {
        Map<String, List<WeightTable.Entry>> groups = new LinkedHashMap<>();
        for (WeightTable.Entry e : table.entries())
            if (!isStatistic(e.name())) groups.computeIfAbsent(layer(e.name()), k -> new ArrayList<>()).add(e);
        List<Layer> layers = new ArrayList<>();
        groups.forEach((name, entries) -> {
            long trained = 0;
            long fixed = 0;
            double gradient = 0;
            double weight = 0;
            double change = 0;
            for (WeightTable.Entry e : entries) {
                if (e.region() == Region.FROZEN) {
                    fixed += e.elements();
                    continue;
                }
                trained += e.elements();
                gradient += gradients.get(e.name());
                weight += weights.get(e.name());
                change += moved.get(e.name());
            }
            layers.add(new Layer(name, trained, fixed,
                    trained == 0 ? OptionalDouble.empty() : OptionalDouble.of(Math.sqrt(gradient)),
                    weight == 0 ? OptionalDouble.empty() : OptionalDouble.of(Math.sqrt(change / weight))));
        });
        return List.copyOf(layers);
    }

    /** Running statistics are measured, neither trained nor frozen by anybody's wish. */
    private static boolean isStatistic(String name) {
        return name.endsWith(".running_mean") || name.endsWith(".running_var");
    }

    private static void warn(Layer l, List<String> warnings) {
        if (l.gradientNorm().isEmpty()) return;
        double g = l.gradientNorm().getAsDouble();
        if (g == 0) warnings.add(l.name() + ": its gradient is zero: it does not learn from this batch");
        if (!Double.isFinite(g)) warnings.add(l.name() + ": its gradient is not finite");
    }

    private static void warn(Rectifier r, List<String> warnings) {
        if (r.share() < MANY_DEAD) return;
        warnings.add(String.format(Locale.ROOT, "the ReLU after %s: %d of %d units are zero for the whole batch",
                r.after(), r.dead(), r.units()));
    }
}
