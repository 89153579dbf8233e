package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.client.Progress;
import isthmus.client.RoundTask;
import isthmus.tensor.WeightBuffer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A site's optimizer from round to round: reset, kept in memory, kept over a restart. */
class XraySiteTest {
    private static final int ROUNDS = 3;
    private static final String KEEP = ", \"optimizer_state\": \"keep\", \"clip_norm\": 1";
    private static final String RESET = ", \"optimizer_state\": \"reset\", \"clip_norm\": 1";

    @TempDir
    Path folder;

    private final List<String> said = new ArrayList<>();
    private final List<AutoCloseable> open = new ArrayList<>();
    private Path films;

    @BeforeEach
    void write() throws IOException { films = SmallRecipe.films(folder.resolve("films"), 12); }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable c : open)
            c.close();
    }

    private XraySite site(String state) {
        Optional<Path> where = Optional.of(state).filter(s -> !s.isEmpty()).map(folder::resolve);
        XraySite site = new XraySite(films, films, Compute.cpu(1), where);
        open.add(site);
        return site;
    }

    /** Three rounds of a federation of one; {@code sites} gives the site of each round. */
    private float[] federate(Recipe recipe, String job, java.util.function.IntFunction<XraySite> sites)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            var model = recipe.build();
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            model.initialize(weights, recipe.seed());
            for (int round = 1; round <= ROUNDS; round++) {
                var task = new RoundTask(job, round, ROUNDS, recipe.toJson(), "null", Map.of(), 300, 1000);
                sites.apply(round).train(weights, task, new Progress() {
                    @Override
                    public void report(long done, long total, String note) {
                        if (note.contains("optimizer")) said.add(note);
                    }

                    @Override
                    public boolean cancelled() { return false; }
                });
            }
            return weights.segment().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private float[] inOneProcess(String more, String state) throws IOException {
        XraySite one = site(state);
        return federate(SmallRecipe.of(more), "job-1", round -> one);
    }

    private float[] startedAnewEachRound(String more, String state) throws IOException {
        return federate(SmallRecipe.of(more), "job-1", round -> site(state));
    }

    @Test
    void aRestartMakesNoDifferenceToTheBit() throws IOException {
        float[] whole = inOneProcess(KEEP, "a");
        assertEquals(List.of("the optimizer begins", "the optimizer keeps its moments",
                "the optimizer keeps its moments"), said);
        said.clear();
        assertArrayEquals(whole, startedAnewEachRound(KEEP, "b"));
        assertEquals(List.of("the optimizer begins", "the optimizer's moments of round 1 were read from the disk",
                "the optimizer's moments of round 2 were read from the disk"), said);
        assertFalse(Arrays.equals(whole, inOneProcess(RESET, "c")));
        assertFalse(Files.exists(folder.resolve("c")), "a recipe that resets writes nothing");
    }

    @Test
    void withoutAFolderARestartBeginsAnewAndSaysSo() throws IOException {
        float[] reset = inOneProcess(RESET, "");
        assertArrayEquals(reset, startedAnewEachRound(KEEP, ""));
        assertEquals("the optimizer begins anew: there are no moments of an earlier round of this job", said.getLast());
    }

    @Test
    void momentsOfAnotherJobOrADamagedFileAreNotTaken() throws IOException {
        float[] fresh = inOneProcess(KEEP, "");
        XraySite site = site("a");
        federate(SmallRecipe.of(KEEP), "job-0", round -> site);
        assertArrayEquals(fresh, federate(SmallRecipe.of(KEEP), "job-1", round -> site),
                "the same process, another job");
        Files.writeString(folder.resolve("a").resolve("optimizer.safetensors"), "rubbish");
        assertArrayEquals(fresh, federate(SmallRecipe.of(KEEP), "job-1", round -> site("a")),
                "nothing is lost by it");
    }

    @Test
    void anAverageDoesNotTravel() throws IOException {
        float[] plain = inOneProcess(RESET, "");
        float[] averaged = inOneProcess(RESET + ", \"ema\": {\"decay\": 0.9}", "");
        assertArrayEquals(plain, averaged);
        assertTrue(SmallRecipe.of(", \"ema\": {\"decay\": 0.9}").federationNotes().getFirst()
                .startsWith("ema is for pooled training"));
    }
}
