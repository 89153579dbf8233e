package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Random;

import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.stream.MemoryCacheImageOutputStream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageReaderTest {
    private static final ImageReader READER = new ImageReader();

    private static byte[] odd(String name) throws IOException {
        try (InputStream in = ImageReaderTest.class.getResourceAsStream("/odd/images/" + name)) {
            return in.readAllBytes();
        }
    }

    private static byte[] png(BufferedImage image, boolean interlaced) throws IOException {
        var out = new ByteArrayOutputStream();
        var writer = ImageIO.getImageWritersByFormatName("png").next();
        try (var stream = new MemoryCacheImageOutputStream(out)) {
            writer.setOutput(stream);
            ImageWriteParam how = writer.getDefaultWriteParam();
            how.setProgressiveMode(interlaced ? ImageWriteParam.MODE_DEFAULT : ImageWriteParam.MODE_DISABLED);
            writer.write(null, new IIOImage(image, null, null), how);
        } finally {
            writer.dispose();
        }
        return out.toByteArray();
    }

    /** Every length of a file but the whole one is refused, whatever it was cut in. */
    @ParameterizedTest
    @ValueSource(strings = {"plain.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg", "png_1bit.png", "png_palette.png"})
    void aFileCutAnywhereIsRefused(String name) throws IOException {
        byte[] whole = odd(name);
        READER.decode(whole);
        for (int length = 0; length < whole.length; length++) {
            byte[] cut = Arrays.copyOf(whole, length);
            assertThrows(DataException.class, () -> READER.decode(cut), "cut to " + length + " bytes");
        }
    }

    /** A cut whose end marker was put back, as some transfers do: the decoder would fill the rest with grey in silence. */
    @Test
    void aCutJpegWithAnEndMarkerIsRefused() throws IOException {
        byte[] whole = odd("plain.jpg");
        for (int length = 2000; length < whole.length - 1000; length += 997) {
            byte[] cut = Arrays.copyOf(whole, length);
            cut[length - 2] = (byte) 0xFF;
            cut[length - 1] = (byte) 0xD9;
            DataException e = assertThrows(DataException.class, () -> READER.decode(cut),
                    "cut to " + length + " bytes");
            assertTrue(e.getMessage().contains("damaged JPEG"), e.getMessage());
        }
    }

    @Test
    void aPngWithAnyFlippedBitIsRefused() throws IOException {
        byte[] whole = odd("png_1bit.png");
        var random = new Random(5);
        for (int i = 0; i < 500; i++) {
            byte[] bent = whole.clone();
            bent[random.nextInt(bent.length)] ^= (byte) (1 << random.nextInt(8));
            assertThrows(DataException.class, () -> READER.decode(bent));
        }
    }

    /** A JPEG has no checksum: a flipped bit may pass, but never crashes, hangs or takes much memory. */
    @ParameterizedTest
    @ValueSource(strings = {"plain.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg"})
    void aJpegWithFlippedBitsIsReadOrRefused(String name) throws IOException {
        byte[] whole = odd(name);
        var random = new Random(6);
        int refused = 0;
        for (int i = 0; i < 400; i++) {
            byte[] bent = whole.clone();
            // Half of the flips hit the headers.
            int where = random.nextInt(i % 2 == 0 ? bent.length : 600);
            bent[where] ^= (byte) (1 << random.nextInt(8));
            try {
                READER.decode(bent);
            } catch (DataException e) {
                refused++;
            }
        }
        assertTrue(refused > 50, "only " + refused + " of 400 were refused");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5, 8, 9, 33})
    void interlacedPngsOfAnySizeReadLikePlainOnes(int size) throws IOException {
        BufferedImage image = Films.picture(size, size + 2, size);
        GreyImage plain = READER.decode(png(image, false));
        assertArrayEquals(plain.samples(), READER.decode(png(image, true)).samples());
        for (int y = 0; y < size + 2; y++)
            for (int x = 0; x < size; x++)
                assertEquals(image.getRaster().getSample(x, y, 0), plain.at(x, y));
    }

    @ParameterizedTest
    @ValueSource(ints = {BufferedImage.TYPE_3BYTE_BGR, BufferedImage.TYPE_4BYTE_ABGR})
    void colourBecomesLuma(int type) throws IOException {
        var image = new BufferedImage(17, 5, type);
        for (int x = 0; x < 17; x++)
            for (int y = 0; y < 5; y++)
                image.setRGB(x, y, new java.awt.Color(x * 15, y * 60, x * y & 0xFF).getRGB());
        GreyImage grey = READER.decode(png(image, false));
        for (int x = 0; x < 17; x++)
            for (int y = 0; y < 5; y++)
                assertEquals(0.299 * (x * 15) + 0.587 * (y * 60) + 0.114 * (x * y & 0xFF), grey.at(x, y), 0.51);
    }

    @ParameterizedTest
    @ValueSource(ints = {200, 255, 256, 1023, 1024, 4095, 65535})
    void sixteenBitsAreScaledByTheBitsInUse(int max) throws IOException {
        var image = new BufferedImage(40, 40, BufferedImage.TYPE_USHORT_GRAY);
        for (int i = 0; i < 1600; i++)
            image.getRaster().setSample(i % 40, i / 40, 0, (int) ((long) max * i / 1599));
        int full = Math.max(255, Integer.highestOneBit(max) * 2 - 1);
        GreyImage grey = READER.decode(png(image, false));
        for (int i = 0; i < 1600; i++)
            assertEquals(255.0 * image.getRaster().getSample(i % 40, i / 40, 0) / full, grey.at(i % 40, i / 40), 0.51);
    }

    @Test
    void allEightOrientationsComeOutUpright() {
        // Upright 3 x 2: 0 1 2 / 3 4 5. Stored as each orientation says (EXIF 2.32, tag 274).
        byte[][] stored = {{0, 1, 2, 3, 4, 5}, {2, 1, 0, 5, 4, 3}, {5, 4, 3, 2, 1, 0}, {3, 4, 5, 0, 1, 2},
                {0, 3, 1, 4, 2, 5}, {2, 5, 1, 4, 0, 3}, {5, 2, 4, 1, 3, 0}, {3, 0, 4, 1, 5, 2}};
        for (int orientation = 1; orientation <= 8; orientation++) {
            boolean turned = orientation >= 5;
            var plane = new ImageReader.Plane(turned ? 2 : 3, turned ? 3 : 2, stored[orientation - 1]);
            ImageReader.Plane upright = Exif.upright(plane, orientation);
            assertEquals(3, upright.width);
            assertArrayEquals(new byte[]{0, 1, 2, 3, 4, 5}, upright.samples, "orientation " + orientation);
        }
    }

    @Test
    void theLimitHoldsFromTheHeaderOn() throws IOException {
        var small = new ImageReader(256 * 256 - 1);
        DataException e = assertThrows(DataException.class, () -> small.decode(odd("plain.jpg")));
        assertTrue(e.getMessage().contains("256 x 256"), e.getMessage());
        assertThrows(DataException.class, () -> small.decode(odd("png16.png")));
        new ImageReader(256 * 256).decode(odd("plain.jpg"));
        // Under the limit, but more than the file's bytes can hold.
        byte[] claims = odd("plain.jpg");
        int frame = 0;
        while ((claims[frame] & 0xFF) != 0xFF || (claims[frame + 1] & 0xFF) != 0xC0)
            frame++;
        claims[frame + 5] = 9000 >> 8;
        claims[frame + 7] = 9000 >> 8;
        DataException held = assertThrows(DataException.class, () -> READER.decode(claims));
        assertTrue(held.getMessage().contains("cannot hold"), held.getMessage());
    }
}
