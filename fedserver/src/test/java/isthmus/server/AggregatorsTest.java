package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.wire.JobSpec;
import isthmus.wire.Json;
import isthmus.wire.RefusalException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every rule must keep, and what the catalogue says to who misspells one. */
class AggregatorsTest {
    private static final WeightTable TABLE = WeightTable.builder().add("f", Shape.of(13), Region.FROZEN)
            .add("w", Shape.of(9_973), Region.TRAINABLE).add("s", Shape.of(7), Region.STATISTICS).build();

    private static JobSpec job(String aggregator) {
        return Json.read(TestFederation.job(1, 1, "").replace("{\"rule\": \"fedavg\"}", aggregator)
                .getBytes(StandardCharsets.UTF_8), JobSpec.class, "job");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"rule\": \"fedavg\"}", "{\"rule\": \"fedprox\", \"mu\": 0.1}"})
    void everyRuleIsFixedByItsInputsAndNotByTheirOrder(String rule) {
        Aggregator aggregator = Aggregators.of(job(rule).aggregator());
        try (Arena arena = Arena.ofConfined()) {
            Random random = new Random(5);
            List<Slots.Update> updates = new ArrayList<>();
            for (int site = 0; site < 8; site++)
                updates.add(new Slots.Update("site" + site, 1 + random.nextInt(1000),
                        normal(random, TABLE.exchanged().length(), arena)));
            float[] start = normal(random, TABLE.elements(), arena).toArray(ValueLayout.JAVA_FLOAT);
            float[] expected = fold(aggregator, updates, start, arena);
            for (int i = 0; i < 13; i++)
                assertEquals(start[i], expected[i], "frozen weights stay");
            for (int k = 0; k < 5; k++) {
                Collections.shuffle(updates, random);
                assertEquals(-1, java.util.Arrays.mismatch(expected, fold(aggregator, updates, start, arena)));
            }
            float[] one = fold(aggregator, updates.subList(0, 1), start, arena);
            MemorySegment only = updates.getFirst().difference();
            for (int i = 13; i < start.length; i++)
                assertEquals((float) (start[i] + (double) only.getAtIndex(ValueLayout.JAVA_FLOAT, i - 13)), one[i]);
        }
    }

    private static float[] fold(Aggregator aggregator, List<Slots.Update> updates, float[] start, Arena arena) {
        WeightBuffer global = WeightBuffer.allocate(TABLE, arena);
        MemorySegment.copy(start, 0, global.segment(), ValueLayout.JAVA_FLOAT, 0, start.length);
        aggregator.fold(new Slots(updates), global);
        return global.segment().toArray(ValueLayout.JAVA_FLOAT);
    }

    private static MemorySegment normal(Random random, long n, Arena arena) {
        MemorySegment values = arena.allocate(n * Float.BYTES, 64);
        for (long i = 0; i < n; i++)
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        return values;
    }

    @Test
    void aFoldWithoutUpdatesIsAnError() { assertThrows(IllegalArgumentException.class, () -> new Slots(List.of())); }

    @Test
    void sharesAreBySamples() {
        MemorySegment none = MemorySegment.NULL;
        var slots = new Slots(List.of(new Slots.Update("b", 300, none), new Slots.Update("a", 100, none)));
        assertEquals("a", slots.sites().getFirst().site());
        assertEquals(0.25, slots.shares()[0]);
        assertEquals(0.75, slots.shares()[1]);
    }

    @Test
    void misspeltRulesAndSettingsAreNamed() {
        refused("{\"rule\": \"fedavq\"}", "there is no rule \"fedavq\"", "did you mean \"fedavg\"?");
        refused("{\"rul\": \"fedavg\"}", "rule is missing", "known: fedavg, fedprox");
        refused("{\"rule\": \"fedprox\", \"nu\": 1}", "rule fedprox has no setting \"nu\"", "did you mean \"mu\"?");
        refused("{\"rule\": \"fedprox\"}", "rule fedprox needs \"mu\"", "add it");
        refused("{\"rule\": \"fedprox\", \"mu\": -1}", "mu is -1.0", "write a number from 0 on");
        refused("{\"rule\": \"fedavg\", \"mu\": 1}", "rule fedavg has no setting \"mu\"", "known: ");
    }

    private static void refused(String aggregator, String... text) {
        Map<String, ?> chosen = job(aggregator).aggregator();
        assertEquals(false, chosen.isEmpty());
        String message = assertThrows(RefusalException.class, () -> Aggregators.of(job(aggregator).aggregator()))
                .getMessage();
        for (String part : text)
            assertTrue(message.contains(part), message);
    }
}
