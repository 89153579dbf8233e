package isthmus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.WeightTable.Entry;
import isthmus.tensor.WeightTable.Range;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Layout, digest and comparison of weight tables. */
class WeightTableTest {
    private static WeightTable table(Entry... entries) {
        WeightTable.Builder b = WeightTable.builder();
        for (Entry e : entries)
            b.add(e.name(), e.shape(), e.region());
        return b.build();
    }

    private static Entry entry(String name, Region region, int... dims) {
        return new Entry(name, Shape.of(dims), region, 0);
    }

    /** Regions in any order of declaration lie packed, one after the other, each in the order of declaration. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
    void packsRegionsOneAfterTheOther(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        List<Region> regions = List.of(Region.values());
        WeightTable.Builder builder = WeightTable.builder();
        for (int i = 0; i < 40; i++)
            builder.add(String.format("w%02d", i), Shape.of(1 + random.nextInt(9), 1 + random.nextInt(9)),
                    regions.get(random.nextInt(3)));
        WeightTable t = builder.build();
        long at = 0;
        Entry before = null;
        for (Entry e : t.entries()) {
            assertEquals(at, e.offset(), e.name());
            at += e.elements();
            if (before != null)
                assertTrue(Comparator.comparing(Entry::region).thenComparing(Entry::name).compare(before, e) < 0);
            before = e;
        }
        assertEquals(at, t.elements());
        assertEquals(4 * at, t.bytes());
        assertEquals(40, t.entries().size());
        long end = 0;
        for (Region region : Region.values()) {
            Range range = t.range(region);
            assertEquals(end, range.offset());
            assertEquals(t.entries().stream().filter(e -> e.region() == region).mapToLong(Entry::elements).sum(),
                    range.length());
            end = range.end();
        }
        assertEquals(t.elements(), end);
        assertEquals(new Range(t.range(Region.TRAINABLE).offset(), end - t.range(Region.TRAINABLE).offset()),
                t.exchanged());
    }

    @Test
    void exchangesTrainableWeightsAndStatisticsOnly() {
        WeightTable t = table(entry("mean", Region.STATISTICS, 3), entry("w", Region.TRAINABLE, 2, 5),
                entry("base", Region.FROZEN, 7));
        assertEquals(new Range(7, 13), t.exchanged());
        assertEquals(new Range(17, 3), t.range(Region.STATISTICS));
        assertEquals(new Range(0, 4), table(entry("mean", Region.STATISTICS, 4)).exchanged());
        assertEquals(new Range(6, 0), table(entry("base", Region.FROZEN, 6)).exchanged());
        assertEquals(new Range(6, 0), table(entry("base", Region.FROZEN, 6)).range(Region.TRAINABLE));
        assertEquals(new Range(0, 0), table(entry("w", Region.TRAINABLE, 6)).range(Region.FROZEN));
    }

    @Test
    void digestTellsEveryDifferenceApart() {
        Entry a = entry("a", Region.TRAINABLE, 2, 3);
        Entry b = entry("b", Region.TRAINABLE, 4);
        List<WeightTable> tables = List.of(table(a, b), table(b, a), table(a), table(b),
                table(entry("c", Region.TRAINABLE, 2, 3), b), table(entry("a", Region.TRAINABLE, 3, 2), b),
                table(entry("a", Region.TRAINABLE, 6), b), table(entry("a", Region.TRAINABLE, 1, 2, 3), b),
                table(entry("a", Region.FROZEN, 2, 3), b), table(entry("a", Region.STATISTICS, 2, 3), b),
                table(a, entry("b", Region.TRAINABLE)), table(a, entry("b", Region.TRAINABLE, 1)),
                table(entry("a 2x3", Region.TRAINABLE, 2, 3), b));
        Set<String> digests = new HashSet<>();
        for (WeightTable t : tables) {
            assertTrue(digests.add(t.digest()), () -> "two tables, one digest: " + t.entries());
            assertTrue(t.digest().matches("[0-9a-f]{64}"), t.digest());
        }
        assertEquals(table(a, b).digest(), table(a, b).digest());
        // Only the order within a region counts: the layout is the same.
        Entry s = entry("s", Region.STATISTICS, 4);
        assertEquals(table(a, s).digest(), table(s, a).digest());
    }

    /** What a digest is computed from does not change from version to version: sites may differ in theirs. */
    @Test
    void digestStaysAsItIs() {
        assertEquals("7060242411b25c280edfcc2efdd9617fdcfedb144c47d84c555cf1cc579890d2",
                table(entry("a", Region.TRAINABLE, 2, 3), entry("b", Region.FROZEN, 4)).digest());
    }

    @Test
    void differencesNameWhatIsWrong() {
        WeightTable expected = table(entry("a", Region.TRAINABLE, 2, 3), entry("b", Region.TRAINABLE, 4),
                entry("c", Region.FROZEN, 5), entry("same", Region.FROZEN, 1));
        WeightTable other = table(entry("a", Region.TRAINABLE, 3, 2), entry("c", Region.TRAINABLE, 5),
                entry("d", Region.STATISTICS, 6), entry("same", Region.FROZEN, 1));
        List<String> all = List.of("c is TRAINABLE, expected FROZEN", "a is 3x2, expected 2x3", "b 4 is missing",
                "d 6 is not expected");
        assertEquals(all, expected.differences(other, 10));
        for (int limit = 0; limit < 4; limit++)
            assertEquals(all.subList(0, limit), expected.differences(other, limit));
        assertEquals(List.of(), expected.differences(expected, 10));
    }

    @Test
    void findsByName() {
        WeightTable t = table(entry("a", Region.TRAINABLE, 2, 3), entry("b", Region.FROZEN, 4));
        assertEquals(4, t.entry("a").offset());
        assertTrue(t.has("b"));
        assertFalse(t.has("B"));
        String message = assertThrows(IllegalArgumentException.class, () -> t.entry("c")).getMessage();
        assertTrue(message.contains("c") && message.contains("[b, a]"), message);
    }

    @Test
    void refusesNamesAndShapesThatCannotBe() {
        refused("needs a name", entry("", Region.FROZEN, 1));
        refused("declared twice", entry("a", Region.FROZEN, 1), entry("a", Region.TRAINABLE, 1));
        refused("2x0 is empty", entry("a", Region.FROZEN, 2, 0));
        refused("no weight may be called", entry("__metadata__", Region.FROZEN, 1));
        // Else one name could pass for two entries in the text that the digest is made of.
        refused("no weight may be called", entry("a\t1\tTRAINABLE\nb", Region.TRAINABLE, 1));
        assertNotEquals(table(entry("a", Region.FROZEN, 1)).digest(), WeightTable.builder().build().digest());
    }

    private static void refused(String why, Entry... entries) {
        String message = assertThrows(IllegalArgumentException.class, () -> table(entries)).getMessage();
        assertTrue(message.contains(why), message);
    }
}
