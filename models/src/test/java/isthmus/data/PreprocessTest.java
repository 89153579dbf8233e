package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.data.Preprocess.Fit;

import java.lang.foreign.MemorySegment;
import java.util.List;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PreprocessTest {
    private static GreyImage picture(int width, int height) {
        byte[] samples = new byte[width * height];
        for (int i = 0; i < samples.length; i++)
            samples[i] = (byte) (i % width * 7 + i / width * 11 + ((i * 2654435761L) >>> 28 & 63));
        return GreyImage.of(width, height, samples);
    }

    /** One pixel of the definition, in doubles: the triangle filter over the source, in both directions at once. */
    private static double reference(GreyImage image, int side, Fit fit, int tx, int ty) {
        double shorter = Math.min(image.width(), image.height());
        double w = fit == Fit.CROP ? shorter : image.width();
        double h = fit == Fit.CROP ? shorter : image.height();
        double cx = (image.width() - w) / 2 + (tx + 0.5) * w / side;
        double cy = (image.height() - h) / 2 + (ty + 0.5) * h / side;
        double sum = 0;
        double weights = 0;
        for (int y = 0; y < image.height(); y++) {
            for (int x = 0; x < image.width(); x++) {
                double weight = triangle((x + 0.5 - cx) / Math.max(1, w / side))
                        * triangle((y + 0.5 - cy) / Math.max(1, h / side));
                sum += weight * image.at(x, y);
                weights += weight;
            }
        }
        return sum / weights;
    }

    private static double triangle(double x) { return Math.max(0, 1 - Math.abs(x)); }

    @ParameterizedTest
    @CsvSource({"61,47,20,16,1", "47,61,20,15,3", "33,33,33,33,1", "19,90,32,24,1", "7,5,16,16,3", "1,40,8,6,1"})
    void agreesWithThePlainDefinition(int width, int height, int resize, int size, int channels) {
        for (Fit fit : Fit.values()) {
            List<Double> mean = List.of(0.4, 0.5, 0.6).subList(0, channels);
            List<Double> std = List.of(0.2, 0.25, 0.3).subList(0, channels);
            var preprocess = new Preprocess(resize, size, fit, channels, mean, std);
            GreyImage image = picture(width, height);
            float[] out = new float[preprocess.elements()];
            preprocess.apply(image, MemorySegment.ofArray(out), 0);
            int margin = (resize - size) / 2;
            for (int i = 0; i < out.length; i++) {
                int c = i % channels;
                int x = i / channels % size;
                int y = i / channels / size;
                double grey = reference(image, resize, fit, x + margin, y + margin);
                double found = (out[i] * std.get(c) + mean.get(c)) * 255;
                // The square that is kept has whole grey values.
                assertEquals(grey, found, 0.51, fit + ", pixel " + x + ", " + y + ", channel " + c);
            }
        }
    }

    @Test
    void anEvenPictureStaysEvenAndAnEqualSizeStaysEqual() {
        byte[] even = new byte[50 * 70];
        java.util.Arrays.fill(even, (byte) 200);
        for (byte value : Resampler.square(GreyImage.of(50, 70, even), 31, Fit.CROP))
            assertEquals(200, value & 0xFF);
        GreyImage image = picture(40, 40);
        byte[] same = Resampler.square(image, 40, Fit.CROP);
        for (int i = 0; i < same.length; i++)
            assertEquals(image.at(i % 40, i / 40), same[i] & 0xFF);
    }

    /** Stripes finer than a target pixel become even grey; a filter that skips pixels would make new stripes. */
    @Test
    void fineStripesDoNotAlias() {
        byte[] stripes = new byte[300 * 300];
        for (int i = 0; i < stripes.length; i++)
            stripes[i] = (byte) (i % 2 == 0 ? 255 : 0);
        for (byte value : Resampler.square(GreyImage.of(300, 300, stripes), 37, Fit.CROP))
            assertEquals(127.5, value & 0xFF, 6);
    }

    @Test
    void jsonGoesThereAndBack() {
        for (Preprocess p : List.of(Preprocess.grey(96), Preprocess.imageNet(224),
                new Preprocess(64, 64, Fit.STRETCH, 1, List.of(0.123456789), List.of(1e-3))))
            assertEquals(p, Preprocess.fromJson(p.toJson()));
        assertTrue(Preprocess.grey(96).toJson().contains("\"size\":96"), Preprocess.grey(96).toJson());
    }

    @Test
    void jsonThatIsWrongIsRefusedWithTheReason() {
        String good = Preprocess.grey(96).toJson();
        for (String bad : List.of("", "{}", "[]", "null", "{\"size\":96", good + "x",
                good.replace("{", "{\"size\":96,"), good.replace("{", "{\"zoom\":2,"),
                good.replace("\"size\":96", "\"size\":960"), good.replace("\"CROP\"", "\"crop it\""),
                good.replace("\"CROP\"", "null"), good.replace("[0.25]", "[0]"), good.replace("[0.5]", "[]"),
                good.replace("[0.5]", "[null]"), good.replace("\"channels\":1", "\"channels\":null"))) {
            DataException e = assertThrows(DataException.class, () -> Preprocess.fromJson(bad), bad);
            assertTrue(e.getMessage().startsWith("preprocessing "), e.getMessage());
        }
    }
}
