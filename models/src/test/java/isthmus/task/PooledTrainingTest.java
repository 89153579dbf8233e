package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whole pooled runs on a few small pictures: how they begin and how they end. */
class PooledTrainingTest {
    @TempDir
    Path folder;

    private Path films;

    @BeforeEach
    void write() throws IOException { films = SmallRecipe.films(folder.resolve("films"), 14); }

    private PooledTraining.Result run(Recipe recipe, SmallRecipe.Ear ear, Optional<Path> start, String out)
            throws IOException {
        return PooledTraining.run(recipe, List.of(films), List.of(films), start, folder.resolve(out), Compute.cpu(1),
                ear);
    }

    private float[] weights(Path file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            return Safetensors.map(file, arena).weights().segment().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private float[] start(Recipe recipe) {
        try (Arena arena = Arena.ofConfined()) {
            var model = recipe.build();
            WeightBuffer w = WeightBuffer.allocate(model.table(), arena);
            model.initialize(w, recipe.seed());
            return w.segment().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private static double distance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++)
            sum += Math.pow((double) a[i] - b[i], 2);
        return Math.sqrt(sum);
    }

    @Test
    void allEpochsUnlessSomethingEndsIt() throws IOException {
        var ear = new SmallRecipe.Ear();
        PooledTraining.Result r = run(SmallRecipe.of(""), ear, Optional.empty(), "a");
        assertEquals("epochs", r.ended());
        assertEquals(3, r.epochs().size());
        assertEquals(9, ear.steps, "three whole batches of four an epoch");
    }

    /** What fills no whole batch is trained as well, if the recipe wants it. */
    @Test
    void theLastFilmsAreTrainedIfWanted() throws IOException {
        var ear = new SmallRecipe.Ear();
        run(SmallRecipe.of(", \"loader\": {\"drop_last\": false, \"workers\": 1, \"prefetch\": 1}"), ear,
                Optional.empty(), "a");
        assertEquals(12, ear.steps);
    }

    /** Each batch takes a minute by this clock; measuring takes none. */
    @Test
    void aWindowOfTimeEndsItWithTheBestModel() throws IOException {
        var clock = new AtomicLong();
        var ear = new SmallRecipe.Ear() {
            @Override
            public void step(int batch, int batches, long samples, DoubleSupplier loss) {
                super.step(batch, batches, samples, loss);
                clock.addAndGet(60_000_000_000L);
            }
        };
        Recipe recipe = SmallRecipe.of(", \"budget_minutes\": 5");
        PooledTraining.Result r = PooledTraining.run(recipe, List.of(films), List.of(films), Optional.empty(),
                folder.resolve("a"), Compute.cpu(1), ear, clock::get);
        assertEquals("budget", r.ended());
        assertEquals(5, ear.steps, "in the second of three epochs");
        assertEquals(2, r.epochs().size());
        double best = r.epochs().get(r.best() - 1).validation().get("auroc");
        r.epochs().forEach(e -> assertTrue(e.validation().get("auroc") <= best));
        Map<String, Double> again = Evaluation.run(r.bestModel(), List.of(films), 1).metrics();
        assertEquals(best, again.get("auroc"), 1e-12, "the file holds the best");
        assertEquals(weights(r.lastModel()).length, weights(r.bestModel()).length);
    }

    @Test
    void aBudgetThatSufficesEndsNothing() throws IOException {
        PooledTraining.Result r = PooledTraining.run(SmallRecipe.of(", \"budget_minutes\": 1"), List.of(films),
                List.of(films), Optional.empty(), folder.resolve("a"), Compute.cpu(1), new SmallRecipe.Ear(), () -> 0);
        assertEquals("epochs", r.ended());
    }

    /** No gain can be as large as 2, so the first epoch is the only one that counts. */
    @Test
    void patienceEndsIt() throws IOException {
        PooledTraining.Result r = run(
                SmallRecipe.of(", \"early_stop\": {\"patience\": 2, \"min_delta\": 2}").withEpochs(50, 1),
                new SmallRecipe.Ear(), Optional.empty(), "a");
        assertEquals("early_stop", r.ended());
        assertEquals(3, r.epochs().size());
    }

    /** An average that hardly moves is near the start, and it is what is measured and kept. */
    @Test
    void theAverageIsMeasuredAndKept() throws IOException {
        Recipe plain = SmallRecipe.of("");
        Recipe averaged = SmallRecipe.of(", \"ema\": {\"decay\": 0.99, \"warmup\": false}");
        float[] first = start(plain);
        PooledTraining.Result raw = run(plain, new SmallRecipe.Ear(), Optional.empty(), "raw");
        PooledTraining.Result mean = run(averaged, new SmallRecipe.Ear(), Optional.empty(), "mean");
        double far = distance(weights(raw.lastModel()), first);
        double near = distance(weights(mean.lastModel()), first);
        assertTrue(near < 0.2 * far && near > 0, near + " and " + far);
        assertEquals(raw.epochs().getLast().loss(), mean.epochs().getLast().loss(), "training itself is the same");
        assertEquals(mean.epochs().getLast().validation(),
                Evaluation.run(mean.lastModel(), List.of(films), 1).metrics());
    }

    @Test
    void accumulationIsALargerBatch() throws IOException {
        var ear = new SmallRecipe.Ear();
        Recipe recipe = SmallRecipe.of(", \"accumulate\": 3");
        float[] summed = weights(run(recipe, ear, Optional.empty(), "a").lastModel());
        assertEquals(9, ear.steps);
        Recipe large = SmallRecipe.of("").with(new Recipe.Loader(12, 1, true, 2, 4));
        float[] whole = weights(run(large, new SmallRecipe.Ear(), Optional.empty(), "b").lastModel());
        assertTrue(distance(summed, whole) < 1e-4 * distance(whole, start(recipe)), "off by "
                + distance(summed, whole));
    }

    @Test
    void aWarmStartTrainsOnAFewFilmsFirst() throws IOException {
        var ear = new SmallRecipe.Ear();
        Recipe recipe = SmallRecipe.of(", \"warm_start\": {\"subset\": 6, \"epochs\": 2, \"learning_rate\": 0.002}");
        float[] once = weights(run(recipe, ear, Optional.empty(), "a").lastModel());
        assertTrue(ear.lines.getFirst().startsWith("warm start: 6 films, 2 epochs, loss 0."), ear.lines.toString());
        assertArrayEquals(once, weights(run(recipe, ear, Optional.empty(), "b").lastModel()), "the same again");
        float[] without = weights(run(SmallRecipe.of(""), ear, Optional.empty(), "c").lastModel());
        assertTrue(distance(once, without) > 1e-3);
        assertEquals(9, ear.steps / 3, "warm steps are not counted as training");
    }

    /** A file that the recipe names, one that the caller names, which comes first, and one that does not fit. */
    @Test
    void itBeginsWithWeightsOfAFile() throws IOException {
        Path named = run(SmallRecipe.of("").withEpochs(1, 1), new SmallRecipe.Ear(), Optional.empty(), "a").lastModel();
        String key = ", \"warm_start\": {\"weights\": \"" + named.toString().replace("\\", "\\\\") + "\"}";
        float[] byRecipe = weights(
                run(SmallRecipe.of(key), new SmallRecipe.Ear(), Optional.empty(), "b").lastModel());
        float[] byCaller = weights(
                run(SmallRecipe.of(""), new SmallRecipe.Ear(), Optional.of(named), "c").lastModel());
        assertArrayEquals(byCaller, byRecipe);
        String lora = ", \"lora\": {\"rank\": 2, \"alpha\": 4, \"layers\": [\"fc1\"]}";
        var ear = new SmallRecipe.Ear();
        run(SmallRecipe.of(lora), ear, Optional.of(named), "d");
        assertEquals(named + ": 2 adapter weights are not in it and begin anew", ear.lines.getFirst());
        Recipe other = Recipe.fromJson(SmallRecipe.of("").toJson().replace("convnet2", "xraynet"));
        String message = assertThrows(RuntimeException.class,
                () -> run(other, new SmallRecipe.Ear(), Optional.of(named), "e")).getMessage();
        assertTrue(message.startsWith(named + ": not the weights of this model; [input.weight 1 is missing"), message);
    }

    /** Everything at once, in half precision. */
    @Test
    void halfPrecisionTrainsWithItsScale() throws IOException {
        var ear = new SmallRecipe.Ear();
        Recipe half = SmallRecipe.of(", \"accumulate\": 2, \"loss_scale\": {\"initial\": 1e12, \"growth_interval\": 3}")
                .withPrecision("f16");
        PooledTraining.Result r = run(half, ear, Optional.empty(), "a");
        assertTrue(ear.lines.getFirst().startsWith("precision f16 on a CPU is half-precision memory"),
                ear.lines.toString());
        for (float w : weights(r.lastModel()))
            assertTrue(Float.isFinite(w));
        assertEquals("epochs", r.ended());
    }
}
