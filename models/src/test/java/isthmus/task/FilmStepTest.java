package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.data.Augment;
import isthmus.data.Batch;
import isthmus.data.BatchLoader;
import isthmus.data.Films;
import isthmus.data.FloatSampler;
import isthmus.data.ImageDataset;
import isthmus.data.LabelTable;
import isthmus.data.Preprocess;
import isthmus.nn.Model;
import isthmus.op.ShapeException;
import isthmus.tensor.Shape;
import isthmus.train.BatchSource;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Training that is fed with raw pictures, against the same training on the float pictures that the host makes of them. */
class FilmStepTest {
    private static final int BATCH = 5;
    private static final int EPOCHS = 3;
    private static final long SEED = 7;
    private static final Preprocess PREPROCESS = Preprocess.grey(24);

    @TempDir
    Path folder;
    private ImageDataset data;

    @BeforeEach
    void load() throws IOException {
        LabelTable table = Films.write(folder, 23);
        data = ImageDataset.load(table, PREPROCESS, ImageDataset.Options.standard());
    }

    @AfterEach
    void close() { data.close(); }

    static Stream<String> backends() {
        return Backends.all().stream().filter(p -> p.problem().isEmpty()).map(BackendProvider::name);
    }

    /** Each pass's mean loss, and the weights at the end. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Course(double[] losses, float[] weights) {}

    private static Model model() { return Zoo.model("convnet2", Shape.of(1, 24, 24), 2, ModelOptions.dropout(0.25)); }

    /** Trains on all films, with an incomplete last batch. */
    private Course train(String device, Model model, Precision precision, boolean raw) {
        var options = Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.sgd(0.01), precision,
                BATCH);
        var batches = BatchLoader.Options.training(BATCH, SEED, Augment.CHEST).withDropLast(false);
        try (BatchLoader loader = new BatchLoader(data, batches);
                Backend backend = Backends.open(device, 2);
                Trainer trainer = new Trainer(model, options, backend)) {
            backend.enter();
            model.initialize(trainer.weights(), SEED);
            trainer.begin(0, (long) EPOCHS * loader.batches(), 0);
            double[] losses = new double[EPOCHS];
            for (int e = 0; e < EPOCHS; e++) {
                BatchSource source = raw ? new LoaderSource(loader).epoch(e) : new OnTheHost(data, loader, e);
                losses[e] = trainer.pass(source, (b, of, samples, loss) -> {});
            }
            return new Course(losses, trainer.weights().segment().toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void theLossIsThatOfFloatPictures(String device) {
        Course raw = train(device, LoaderSource.fed(model(), PREPROCESS), Precision.FP32, true);
        Course floats = train(device, model(), Precision.FP32, false);
        assertArrayEquals(floats.losses, raw.losses, 1e-6);
        assertArrayEquals(floats.weights, raw.weights, 1e-5f);
        assertTrue(raw.losses[EPOCHS - 1] < raw.losses[0], "nothing was learnt: " + raw.losses[EPOCHS - 1]);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void theSameSeedGivesTheSameBitsInEveryPrecision(String device) {
        for (Precision precision : Precision.values()) {
            Course once = train(device, LoaderSource.fed(model(), PREPROCESS), precision, true);
            Course again = train(device, LoaderSource.fed(model(), PREPROCESS), precision, true);
            assertArrayEquals(once.weights, again.weights, 0f, precision.toString());
            assertEquals(train(device, model(), precision, false).losses[0], once.losses[0],
                    precision == Precision.FP32 ? 1e-6 : 2e-2);
        }
    }

    @Test
    void picturesOfAnotherSizeAreRefused() {
        ShapeException e = assertThrows(ShapeException.class,
                () -> LoaderSource.fed(model(), Preprocess.grey(32)));
        assertTrue(e.getMessage().contains("32") && e.getMessage().contains("24"), e.getMessage());
    }

    /** The same batches, as float32 pictures. */
    private static final class OnTheHost implements BatchSource {
        private final ImageDataset data;
        private final BatchLoader loader;
        private final long epoch;
        private final Iterator<Batch> batches;
        private final FloatSampler sampler = new FloatSampler(PREPROCESS);

        OnTheHost(ImageDataset data, BatchLoader loader, long epoch) {
            this.data = data;
            this.loader = loader;
            this.epoch = epoch;
            this.batches = loader.epoch(epoch).iterator();
        }

        @Override
        public int batchSize() { return loader.batchSize(); }

        @Override
        public int batches() { return loader.batches(); }

        @Override
        public int lastBatch() { return loader.lastBatch(); }

        @Override
        public int next(MemorySegment images, MemorySegment labels) {
            Batch b = batches.next();
            for (int i = 0; i < b.count(); i++)
                sampler.varied(data.image(b.item(i)), 0, Augment.CHEST, SEED, epoch, b.item(i), images,
                        (long) i * PREPROCESS.elements() * Float.BYTES);
            labels.copyFrom(b.labels());
            return b.count();
        }
    }
}
