package isthmus.train;

import isthmus.nn.NamePattern;
import isthmus.tensor.Region;
import isthmus.tensor.WeightTable;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Neighbouring trainable weights that learn alike: one fused pass of the optimizer.
 *
 * @param offset first element, counted from the start of the trainable region
 * @param length elements
 */
record Stretch(long offset, long length, double learningRateFactor, double weightDecay) {
    /** What groups mean for a table, neighbours that agree joined; a pattern that chooses nothing is an error. */
    static List<Stretch> of(WeightTable table, List<ParameterGroup> groups, double weightDecay) {
        groups.forEach(g -> requireHit(table, g));
        List<NamePattern> patterns = groups.stream().map(g -> new NamePattern(g.pattern())).toList();
        long start = table.range(Region.TRAINABLE).offset();
        List<Stretch> all = new ArrayList<>();
        for (WeightTable.Entry e : table.entries()) {
            if (e.region() != Region.TRAINABLE) continue;
            double factor = 1;
            double decay = weightDecay;
            for (int i = 0; i < groups.size(); i++) {
                if (!patterns.get(i).fits(e.name())) continue;
                factor = groups.get(i).learningRateFactor();
                decay = groups.get(i).weightDecay().orElse(weightDecay);
                break;
            }
            Stretch here = new Stretch(e.offset() - start, e.elements(), factor, decay);
            if (!all.isEmpty() && all.getLast().learnsAs(here)) all.add(all.removeLast().and(here));
            else
                all.add(here);
        }
        return all;
    }

    private boolean learnsAs(Stretch o) {
        return learningRateFactor == o.learningRateFactor && weightDecay == o.weightDecay;
    }

    private Stretch and(Stretch next) {
        return new Stretch(offset, length + next.length, learningRateFactor, weightDecay);
    }

    /** Frozen parameters count as found: one recipe serves full and partial training. */
    private static void requireHit(WeightTable table, ParameterGroup group) {
        NamePattern pattern = new NamePattern(group.pattern());
        Set<String> layers = new LinkedHashSet<>();
        for (WeightTable.Entry e : table.entries()) {
            if (e.region() == Region.STATISTICS) continue;
            if (pattern.fits(e.name())) return;
            layers.add(e.name().replaceFirst("\\..*", ""));
        }
        throw new IllegalArgumentException("parameter groups: '" + pattern
                + "' fits no parameter of the model; there are " + String.join(", ", layers)
                + " and what is inside them");
    }
}
