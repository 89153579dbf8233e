package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.ReferenceBackend;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a device makes of raw pictures, against the pictures that the host would make, on every backend of this machine. */
class RawPicturesTest {
    private static final int COUNT = 20;
    private static final Augment STRONG = new Augment(0.4, 0.5, 180, 0.5, 0.3, 0.5, 1);

    static Stream<String> backends() {
        return Stream.concat(Stream.of("reference"),
                Backends.all().stream().filter(p -> p.problem().isEmpty()).map(BackendProvider::name));
    }

    private static Backend open(String name) {
        return name.equals("reference") ? new ReferenceBackend() : Backends.open(name, 2);
    }

    private static byte[] square(int side, int salt) {
        byte[] pixels = new byte[side * side];
        for (int i = 0; i < pixels.length; i++)
            pixels[i] = (byte) (((i * i * 31) >> 4) ^ (i * salt));
        return pixels;
    }

    @ParameterizedTest
    @MethodSource("backends")
    void variedPicturesAreThoseOfTheHost(String name) {
        for (Preprocess p : List.of(Preprocess.grey(37), Preprocess.imageNet(70))) {
            for (Augment a : List.of(Augment.CHEST, STRONG)) {
                float[] expected = new float[COUNT * p.elements()];
                float[] got = made(name, p, a, expected);
                for (int i = 0; i < got.length; i++)
                    // Greys from 0 to 1, divided by a deviation of a quarter or less.
                    assertEquals(expected[i], got[i], 3e-6, "at " + i + " with " + a);
            }
        }
    }

    private static float[] made(String name, Preprocess p, Augment a, float[] expected) {
        try (Arena arena = Arena.ofConfined(); Backend backend = open(name)) {
            MemorySegment raw = arena.allocate((long) COUNT * p.raw().bytes(), 64);
            var pictures = new RawPictures(p);
            var host = new FloatSampler(p);
            for (int i = 0; i < COUNT; i++) {
                MemorySegment square = MemorySegment.ofArray(square(p.resize(), i));
                pictures.varied(square, 0, a, 5, 6, i, raw, (long) i * p.raw().bytes());
                host.varied(square, 0, a, 5, 6, i, MemorySegment.ofArray(expected),
                        (long) i * p.elements() * Float.BYTES);
            }
            return Warped.on(backend, p, raw);
        }
    }

    /** What is measured, and what an agent reads, are the same bits. */
    @ParameterizedTest
    @MethodSource("backends")
    void theMiddleIsThatOfThePreprocessing(String name) {
        for (Preprocess p : List.of(Preprocess.grey(37), Preprocess.imageNet(70))) {
            try (Arena arena = Arena.ofConfined(); Backend backend = open(name)) {
                MemorySegment raw = arena.allocate(p.raw().bytes(), 64);
                byte[] square = square(p.resize(), 3);
                new RawPictures(p).centre(MemorySegment.ofArray(square), 0, raw, 0);
                float[] expected = new float[p.elements()];
                p.apply(GreyImage.of(p.resize(), p.resize(), square), MemorySegment.ofArray(expected), 0);
                assertArrayEquals(expected, Warped.on(backend, p, raw));
            }
        }
    }
}
