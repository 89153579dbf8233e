package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightTable;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

/** What name patterns mean for the flat buffer. */
class StretchTest {
    private static final WeightTable TABLE = WeightTable.builder()
            .add("conv1.weight", Shape.of(2, 3), Region.TRAINABLE)
            .add("frozen.weight", Shape.of(7), Region.FROZEN)
            .add("bn.running_mean", Shape.of(5), Region.STATISTICS)
            .add("layer1.weight", Shape.of(4), Region.TRAINABLE)
            .add("layer1.bias", Shape.of(2), Region.TRAINABLE)
            .add("fc.weight", Shape.of(3), Region.TRAINABLE)
            .add("fc.bias", Shape.of(1), Region.TRAINABLE).build();

    private static List<Stretch> of(ParameterGroup... groups) { return Stretch.of(TABLE, List.of(groups), 0.01); }

    @Test
    void withoutGroupsAllIsOneStretch() { assertEquals(List.of(new Stretch(0, 16, 1, 0.01)), of()); }

    @Test
    void neighboursThatAgreeAreOne() {
        assertEquals(List.of(new Stretch(0, 6, 2.5, 0.01), new Stretch(6, 6, 0.12, 0.01), new Stretch(12, 4, 12, 0.01)),
                of(ParameterGroup.of("fc", 12), ParameterGroup.of("conv1", 2.5), ParameterGroup.of("*", 0.12)));
        assertEquals(List.of(new Stretch(0, 16, 2, 0.01)),
                of(ParameterGroup.of("fc", 2), ParameterGroup.of("*", 2)), "other patterns, same pace");
    }

    @Test
    void theFirstThatFitsDecides() {
        assertEquals(List.of(new Stretch(0, 10, 1, 0.01), new Stretch(10, 2, 1, 0), new Stretch(12, 3, 3, 0.01),
                new Stretch(15, 1, 1, 0)),
                of(new ParameterGroup("*.bias", 1, OptionalDouble.of(0)), ParameterGroup.of("fc", 3)));
    }

    @Test
    void aPatternMayChooseFrozenWeightsButNotNothing() {
        assertEquals(List.of(new Stretch(0, 16, 1, 0.01)), of(ParameterGroup.of("frozen", 3)));
        String text = assertThrows(IllegalArgumentException.class, () -> of(ParameterGroup.of("classifier", 3)))
                .getMessage();
        assertEquals(
                "parameter groups: 'classifier' fits no parameter of the model; there are frozen, conv1, layer1, fc"
                        + " and what is inside them",
                text);
        assertThrows(IllegalArgumentException.class, () -> of(ParameterGroup.of("bn", 3)), "statistics do not learn");
    }

    @Test
    void refusesNonsense() {
        for (double factor : new double[]{0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            String text = assertThrows(IllegalArgumentException.class, () -> ParameterGroup.of("fc", factor))
                    .getMessage();
            assertTrue(text.contains("factor is " + factor), text);
        }
        assertThrows(IllegalArgumentException.class, () -> ParameterGroup.of(" ", 1));
        assertThrows(IllegalArgumentException.class, () -> new ParameterGroup("fc", 1, OptionalDouble.of(-1)));
    }
}
