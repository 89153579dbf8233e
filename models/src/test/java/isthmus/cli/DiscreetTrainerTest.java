package isthmus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.client.Progress;
import isthmus.client.RoundTask;
import isthmus.data.DataException;
import isthmus.task.Recipe;
import isthmus.task.XraySite;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a site's failure tells the server holds no name of a film. */
class DiscreetTrainerTest {
    private static final Progress SILENT = new Progress() {
        @Override
        public void report(long done, long total, String note) {
            // Nobody listens.
        }

        @Override
        public boolean cancelled() { return false; }
    };

    @TempDir
    Path folder;

    private static RoundTask task(String recipe) {
        return new RoundTask("job-1", 1, 1, recipe, "null", Map.of(), 300, 1000);
    }

    @Test
    void aFilmsNameStaysAtHome() throws Exception {
        Path csv = Files.writeString(folder.resolve("films.csv"), "Path,Pneumonia\nmueller_hans_1950.jpg,1.0\n");
        Files.writeString(folder.resolve("mueller_hans_1950.jpg"), "no film");
        Recipe recipe = Recipe.pneumonia();
        try (XraySite site = new XraySite(csv, csv, isthmus.task.Compute.cpu(1)); Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(recipe.build().table(), arena);
            var e = assertThrows(DiscreetTrainer.FilmsException.class,
                    () -> new DiscreetTrainer(site).train(weights, task(recipe.toJson()), SILENT));
            assertFalse(e.getMessage().contains("mueller"), e.getMessage());
            assertTrue(e.getCause() instanceof DataException);
            assertEquals(Exit.BAD_DATA, Failures.code(e));
            assertTrue(Failures.text(e).contains("mueller_hans_1950.jpg"),
                    "at home the name is shown: " + Failures.text(e));
        }
    }

    @Test
    void whatIsWrongInTheRecipeIsTold() {
        var untouched = new XraySite(folder.resolve("none.csv"), folder.resolve("none.csv"),
                isthmus.task.Compute.cpu(1));
        var e = assertThrows(IllegalArgumentException.class,
                () -> new DiscreetTrainer(untouched).train(null,
                        task(Recipe.pneumonia().toJson().replace("xraynet", "xraynett")), SILENT));
        assertTrue(e.getMessage().contains("xraynett"), e.getMessage());
        untouched.close();
    }

    @Test
    void divergenceIsTold() {
        var diverged = assertThrows(isthmus.train.TrainingException.class, DiscreetTrainerTest::diverge);
        var trainer = new DiscreetTrainer(new isthmus.client.LocalTrainer() {
            @Override
            public isthmus.client.SiteResult train(WeightBuffer weights, RoundTask task, Progress progress) {
                throw diverged;
            }

            @Override
            public isthmus.client.SiteResult validate(WeightBuffer weights, RoundTask task, Progress progress) {
                throw diverged;
            }
        });
        assertSame(diverged, assertThrows(RuntimeException.class,
                () -> trainer.validate(null, task(Recipe.pneumonia().toJson()), SILENT)));
    }

    /** A loss that is no number, made by the trainer itself. */
    private static void diverge() {
        Recipe recipe = Recipe.pneumonia();
        try (var backend = isthmus.backend.Backends.cpu(1);
                var trainer = new isthmus.train.Trainer(recipe.build(), recipe.options(), backend)) {
            backend.enter();
            recipe.build().initialize(trainer.weights(), 1);
            trainer.weights().segment().fill((byte) 0xFF);
            trainer.begin(0, 1, 0);
            trainer.pass(new isthmus.train.BatchSource() {
                @Override
                public int batchSize() { return recipe.batch(); }

                @Override
                public int batches() { return 1; }

                @Override
                public int next(java.lang.foreign.MemorySegment images, java.lang.foreign.MemorySegment labels) {
                    return recipe.batch();
                }
            }, (step, steps, samples, loss) -> {});
        }
    }
}
