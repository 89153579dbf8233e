package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.data.ImageDataset.Options;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageDatasetTest {
    private static final Preprocess SMALL = Preprocess.grey(20);

    @TempDir
    Path folder;

    @Test
    void anyNumberOfThreadsLoadsTheSame() throws IOException {
        LabelTable table = Films.write(folder, 31);
        try (var one = ImageDataset.load(table, SMALL, Options.standard().withThreads(1));
                var many = ImageDataset.load(table, SMALL, Options.standard().withThreads(7))) {
            assertEquals(31, one.size());
            for (int i = 0; i < 31; i++) {
                assertEquals(-1, one.image(i).mismatch(many.image(i)));
                byte[] square = Resampler.square(new ImageReader().read(table.file(i)), SMALL.resize(), SMALL.fit());
                assertEquals(-1, one.image(i).mismatch(MemorySegment.ofArray(square)));
                assertEquals(table.label(i, 1), one.label(i, 1));
            }
            assertEquals(15, one.positives(0));
            assertEquals(16, one.negatives(0));
        }
    }

    @Test
    void aFewBadFilesAreNamedAndLeftOut() throws IOException {
        LabelTable table = Films.write(folder, 100);
        Files.delete(table.file(42));
        try (var data = ImageDataset.load(table, SMALL, Options.standard())) {
            assertEquals(99, data.size());
            assertEquals(1, data.problems().size());
            assertTrue(data.problems().getFirst().startsWith(table.file(42) + ": is not there"),
                    data.problems().getFirst());
            assertEquals(table.file(41), data.file(41));
            assertEquals(table.file(43), data.file(42));
            assertEquals(table.label(43, 0), data.label(42, 0));
            byte[] square = Resampler.square(new ImageReader().read(table.file(43)), SMALL.resize(), SMALL.fit());
            assertEquals(-1, data.image(42).mismatch(MemorySegment.ofArray(square)));
        }
    }

    @Test
    void tooManyBadFilesStopTheRunWithTheList() throws IOException {
        LabelTable table = Films.write(folder, 100);
        byte[] film = Files.readAllBytes(table.file(7));
        Files.write(table.file(7), java.util.Arrays.copyOf(film, film.length / 2));
        Files.writeString(table.file(93), "<html>");
        DataException e = assertThrows(DataException.class, () -> ImageDataset.load(table, SMALL, Options.standard()));
        List<String> lines = e.getMessage().lines().toList();
        assertEquals(3, lines.size(), e.getMessage());
        assertTrue(lines.get(0).startsWith(table.file(7) + ": is a truncated PNG"), e.getMessage());
        assertTrue(lines.get(1).startsWith(table.file(93) + ": is neither JPEG nor PNG"), e.getMessage());
        assertTrue(lines.get(2).contains("2 of 100 images are bad (2.0 %), more than the 1.0 % allowed"),
                e.getMessage());
        try (var data = ImageDataset.load(table, SMALL, Options.standard().withBadLimit(0.02))) {
            assertEquals(98, data.size());
        }
    }

    @Test
    void aLongListIsCutWithItsLength() throws IOException {
        LabelTable table = Films.write(folder, 80);
        for (int i = 0; i < 80; i++)
            Files.delete(table.file(i));
        DataException e = assertThrows(DataException.class,
                () -> ImageDataset.load(table, SMALL, Options.standard().withBadLimit(1)));
        assertEquals(52, e.getMessage().lines().count());
        assertTrue(e.getMessage().contains("and 30 more"), e.getMessage());
    }

    @Test
    void progressCountsEachFileOnce() throws IOException {
        LabelTable table = Films.write(folder, 25);
        var seen = new ArrayList<Integer>();
        ImageDataset.load(table, SMALL, Options.standard().withThreads(3).withProgress(seen::add)).close();
        assertEquals(IntStream.rangeClosed(1, 25).boxed().toList(), seen);
    }

    /** What does not fit is decoded when it is wanted: the same pictures, the same batches. */
    @Test
    void whatDoesNotFitIsDecodedInEveryPass() throws IOException {
        LabelTable table = Films.write(folder, 23);
        Files.delete(table.file(3));
        long square = (long) SMALL.resize() * SMALL.resize();
        var options = Options.standard().withBadLimit(0.1);
        for (int fit : new int[]{0, 9}) {
            try (var all = ImageDataset.load(table, SMALL, options);
                    var some = ImageDataset.load(table, SMALL, options.withMaxBytes(fit * square + square / 2))) {
                assertEquals(22, some.size());
                assertEquals(all.problems(), some.problems());
                assertEquals(fit == 0 ? 0 : fit - 1, some.kept(), "one of the first rows is bad");
                assertEquals(fit * square, some.keptBytes());
                assertTrue(some.warnings().getLast().startsWith((23 - fit) + " of 23 pictures do not fit"),
                        some.warnings().toString());
                for (int i = 0; i < all.size(); i++)
                    assertEquals(-1, all.image(i).mismatch(some.image(i)));
                var training = BatchLoader.Options.training(4, 5, Augment.CHEST);
                try (var expected = new BatchLoader(all, training); var got = new BatchLoader(some, training)) {
                    var batches = got.epoch(2).iterator();
                    for (Batch batch : expected.epoch(2))
                        assertEquals(-1, batch.images().mismatch(batches.next().images()));
                }
            }
        }
    }

    /** A film that was good when it was loaded and is gone later stops the pass with its name. */
    @Test
    void aFileThatGoesAwayIsNamed() throws IOException {
        LabelTable table = Films.write(folder, 8);
        try (var data = ImageDataset.load(table, SMALL, Options.standard().withMaxBytes(0));
                var loader = new BatchLoader(data, BatchLoader.Options.evaluation(4))) {
            Files.delete(table.file(5));
            DataException e = assertThrows(DataException.class, () -> loader.epoch(0).forEach(b -> {}));
            assertTrue(e.getMessage().startsWith(table.file(5).toString()), e.getMessage());
        }
    }

    @Test
    void memoryEndsWithTheData() throws IOException {
        ImageDataset data = ImageDataset.load(Films.write(folder, 3), SMALL, Options.standard());
        MemorySegment image = data.image(2);
        data.close();
        data.close();
        assertThrows(IllegalStateException.class, () -> image.get(ValueLayout.JAVA_BYTE, 0));
    }
}
