package isthmus.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole experiment, small: what it counts is exact, what it learns is better than chance, and it repeats itself. */
class PocTest {
    private static final Path SAMPLE = Path.of("src/main/sample/cxr");
    private static final PocSettings SMALL = new PocSettings(3, 24, 16, 2, 120, 8, 3, 2);

    @TempDir
    Path folder;

    private static List<Poc.Site> sites() {
        return Stream.of("site_a", "site_b", "site_c")
                .map(s -> new Poc.Site(s, SAMPLE.resolve(s + "/train.csv"), SAMPLE.resolve(s + "/val.csv"))).toList();
    }

    private static PocReport run(List<String> heard) throws Exception {
        return Poc.run(SMALL, sites(), new Poc.Machine("here", "bf16"), new Poc.Listener() {
            @Override
            public void ready(int films, int valFilms, PocReport.Score warmStart) { heard.add("ready"); }

            @Override
            public void round(int round, String configuration, PocReport.Round result) {
                heard.add(round + " " + configuration);
            }
        });
    }

    @Test
    void fourConfigurationsTakeTurns() throws Exception {
        List<String> heard = new ArrayList<>();
        PocReport r = run(heard);
        assertEquals(List.of("ready", "1 full fp32", "1 full AMP", "1 LoRA fp32", "1 LoRA AMP", "2 full fp32"),
                heard.subList(0, 6));
        assertEquals(1 + 3 * 4, heard.size());
        assertTrue(r.warmStart().accuracy() > 0.55, "the warm start learnt nothing: " + r.warmStart());

        int features = 64 * 6 * 6;
        long full = 32 * 9 + 32 + 64 * 32 * 9 + 64 + 128L * features + 128 + 128 + 1;
        long lora = 2L * (features + 128) + 2 * (128 + 1);
        for (PocReport.Row row : r.rows()) {
            boolean adapted = row.configuration().startsWith("LoRA");
            assertEquals(3, row.rounds().size());
            assertEquals(2 * 4 * (adapted ? lora : full), row.bytesPerRound(), row.configuration());
            assertEquals(adapted ? 4 * full : 0, row.bytesOnce(), row.configuration());
            assertEquals(adapted ? lora : full, row.trained());
            assertTrue(row.accuracy() > 0.6 && row.auroc() > 0.65, row.toString());
            assertTrue(row.accuracyStdLastRounds() >= 0 && row.accuracyStdLastRounds() < 0.2, row.toString());
        }
        PocReport.Row first = r.rows().getFirst();
        assertEquals(1, first.speedRatio());
        assertTrue(r.rows().getLast().bytesShare() < 0.02, "LoRA's share is " + r.rows().getLast().bytesShare());
        assertTrue(r.rows().getLast().arenaBytes() < 0.7 * first.arenaBytes(),
                r.rows().getLast().arenaBytes() + " and " + first.arenaBytes());

        PocReport again = run(new ArrayList<>());
        for (int i = 0; i < 4; i++)
            for (int round = 0; round < 3; round++)
                assertEquals(r.rows().get(i).rounds().get(round).loss(),
                        again.rows().get(i).rounds().get(round).loss(), "same seed, same bits");

        PocChart.write(folder.resolve("poc.png"), r);
        assertTrue(Files.size(folder.resolve("poc.png")) > 5000);
    }

    @Test
    void settingsOutOfRangeAreNamed() {
        for (String what : List.of("rounds", "size", "batch", "rank", "warm-films", "threads")) {
            int[] v = {2, 16, 8, 2, 10, 1};
            v[List.of("rounds", "size", "batch", "rank", "warm-films", "threads").indexOf(what)] = 0;
            var e = assertThrows(IllegalArgumentException.class,
                    () -> new PocSettings(v[0], v[1], v[2], v[3], v[4], 1, 1, v[5]));
            assertTrue(e.getMessage().startsWith(what), e.getMessage());
        }
    }
}
