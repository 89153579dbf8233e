package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.ReferenceBackend;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BatchLoaderTest {
    private static final int PICTURES = 23;
    private static final int BATCH = 5;

    @TempDir
    Path folder;
    private ImageDataset data;

    @BeforeEach
    void load() throws IOException {
        LabelTable table = Films.write(folder, PICTURES);
        data = ImageDataset.load(table, Preprocess.grey(24), ImageDataset.Options.standard());
    }

    @AfterEach
    void close() { data.close(); }

    private List<byte[]> epochs(BatchLoader.Options options, long... epochs) {
        var all = new ArrayList<byte[]>();
        try (var loader = new BatchLoader(data, options)) {
            for (long epoch : epochs)
                for (Batch batch : loader.epoch(epoch)) {
                    all.add(batch.images().toArray(ValueLayout.JAVA_BYTE));
                    all.add(batch.labels().toArray(ValueLayout.JAVA_BYTE));
                }
        }
        return all;
    }

    private static void assertSame(List<byte[]> expected, List<byte[]> actual) {
        assertEquals(expected.size(), actual.size());
        for (int i = 0; i < expected.size(); i++)
            assertArrayEquals(expected.get(i), actual.get(i));
    }

    @Test
    void anyNumberOfWorkersMakesTheSameBits() {
        var options = BatchLoader.Options.training(BATCH, 7, Augment.CHEST);
        List<byte[]> one = epochs(options.withWorkers(1).withPrefetch(1), 0, 1, 2);
        assertEquals(3 * 2 * (PICTURES / BATCH), one.size());
        assertSame(one, epochs(options.withWorkers(2), 0, 1, 2));
        assertSame(one, epochs(options.withWorkers(4), 0, 1, 2));
    }

    @Test
    void anEpochDoesNotDependOnThoseBefore() {
        var options = BatchLoader.Options.training(BATCH, 7, Augment.CHEST);
        List<byte[]> both = epochs(options, 0, 5);
        assertSame(both.subList(both.size() / 2, both.size()), epochs(options, 5));
        assertFalse(Arrays.equals(both.getFirst(), both.get(both.size() / 2)), "two epochs gave the same batch");
    }

    @Test
    void anotherSeedGivesOtherBatches() {
        byte[] seven = epochs(BatchLoader.Options.training(BATCH, 7, Augment.NONE), 0).getFirst();
        byte[] eight = epochs(BatchLoader.Options.training(BATCH, 8, Augment.NONE), 0).getFirst();
        assertFalse(Arrays.equals(seven, eight));
    }

    @Test
    void shufflingUsesEachPictureAtMostOnce() {
        Set<Integer> seen = new HashSet<>();
        try (var loader = new BatchLoader(data, BatchLoader.Options.training(BATCH, 3, Augment.NONE))) {
            assertEquals(PICTURES / BATCH, loader.batches());
            for (Batch batch : loader.epoch(0))
                for (int i = 0; i < batch.count(); i++)
                    assertTrue(seen.add(batch.item(i)), "a picture came twice");
        }
        assertEquals(PICTURES / BATCH * BATCH, seen.size());
    }

    @Test
    void evaluationGivesEveryPictureInOrderAndFillsTheRest() {
        int item = 0;
        int bytes = data.preprocess().raw().bytes();
        float[] expected = new float[24 * 24];
        try (var loader = new BatchLoader(data, BatchLoader.Options.evaluation(BATCH));
                var backend = new ReferenceBackend()) {
            for (Batch batch : loader.epoch(0)) {
                float[] images = Warped.on(backend, data.preprocess(), batch.images());
                float[] labels = batch.labels().toArray(ValueLayout.JAVA_FLOAT);
                for (int i = 0; i < BATCH; i++) {
                    boolean rest = i >= batch.count();
                    if (rest)
                        assertArrayEquals(new byte[bytes],
                                batch.images().asSlice((long) i * bytes, bytes).toArray(ValueLayout.JAVA_BYTE));
                    else {
                        assertEquals(item, batch.item(i));
                        GreyImage image = new ImageReader().read(data.file(item));
                        data.preprocess().apply(image, MemorySegment.ofArray(expected), 0);
                        assertArrayEquals(expected,
                                Arrays.copyOfRange(images, i * expected.length, (i + 1) * expected.length));
                    }
                    for (int l = 0; l < 2; l++)
                        assertEquals(rest ? -1 : data.label(item, l), labels[i * 2 + l]);
                    item += rest ? 0 : 1;
                }
            }
            assertEquals(PICTURES, item);
            assertThrows(IndexOutOfBoundsException.class, () -> loader.epoch(1).iterator().next().item(BATCH));
        }
    }

    @Test
    void anEpochMayBeLeftInTheMiddle() {
        var options = BatchLoader.Options.training(BATCH, 7, Augment.CHEST).withWorkers(3);
        List<byte[]> whole = epochs(options, 1);
        try (var loader = new BatchLoader(data, options)) {
            var left = loader.epoch(0).iterator();
            left.next();
            int at = 0;
            for (Batch batch : loader.epoch(1)) {
                assertArrayEquals(whole.get(at), batch.images().toArray(ValueLayout.JAVA_BYTE));
                at += 2;
            }
            assertThrows(IllegalStateException.class, left::next);
        }
    }

    @Test
    void whatStopsAWorkerReachesTheConsumerWithTheFilesName() {
        try (var loader = new BatchLoader(data, BatchLoader.Options.evaluation(BATCH))) {
            data.close();
            var batches = loader.epoch(0).iterator();
            DataException e = assertThrows(DataException.class, batches::next);
            assertTrue(e.getMessage().contains("film0") && e.getMessage().contains(".png"), e.getMessage());
        }
    }

    @Test
    void memoryAndThreadsEndWithTheLoader() {
        var loader = new BatchLoader(data, BatchLoader.Options.evaluation(BATCH));
        Batch batch = loader.epoch(0).iterator().next();
        loader.close();
        loader.close();
        assertThrows(IllegalStateException.class, () -> batch.images().get(ValueLayout.JAVA_BYTE, 0));
        assertThrows(IllegalStateException.class, () -> loader.epoch(1));
        MemorySegment image = data.image(0);
        data.close();
        assertThrows(IllegalStateException.class, () -> image.get(ValueLayout.JAVA_BYTE, 0));
    }

    @Test
    void tooFewPicturesForABatchAreRefused() {
        DataException e = assertThrows(DataException.class,
                () -> new BatchLoader(data, BatchLoader.Options.training(PICTURES + 1, 0, Augment.NONE)));
        assertTrue(e.getMessage().contains("" + PICTURES), e.getMessage());
    }

    @Test
    void runningCostsNoHeap() {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (var loader = new BatchLoader(data, BatchLoader.Options.training(BATCH, 7, Augment.CHEST))) {
            for (int epoch = 0; epoch < 400; epoch++)
                for (Batch batch : loader.epoch(epoch))
                    assertEquals(BATCH, batch.count());
            long before = threads.getTotalThreadAllocatedBytes();
            int pictures = 0;
            for (int epoch = 400; epoch < 800; epoch++)
                for (Batch batch : loader.epoch(epoch))
                    pictures += batch.count();
            long each = (threads.getTotalThreadAllocatedBytes() - before) / pictures;
            assertTrue(each < 24 * 24 / 2, each + " bytes of heap a picture");
        }
    }
}
