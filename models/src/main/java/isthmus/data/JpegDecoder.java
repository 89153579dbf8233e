package isthmus.data;

import isthmus.data.ImageReader.Decoded;
import isthmus.data.ImageReader.Plane;

import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

import javax.imageio.ImageIO;
import javax.imageio.spi.ImageReaderSpi;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** Decodes a walked JPEG with the JDK's decoder, which fills gaps in silence: any word of its about damage refuses. */
final class JpegDecoder {
    private static final ImageReaderSpi JDK = jdk();

    private JpegDecoder() {}

    /** The JDK's own decoder, whatever other plug-ins the class path brings. */
    private static ImageReaderSpi jdk() {
        var readers = ImageIO.getImageReadersByFormatName("jpeg");
        while (readers.hasNext()) {
            ImageReaderSpi found = readers.next().getOriginatingProvider();
            if (found.getClass().getName().startsWith("com.sun.imageio.plugins.jpeg."))
                return found;
        }
        throw new IllegalStateException("this Java has no JPEG decoder; use a JDK with the module java.desktop");
    }

    static Decoded decode(byte[] bytes, long maxPixels) {
        JpegFile file = JpegFile.walk(bytes, maxPixels);
        List<String> complaints = new ArrayList<>();
        javax.imageio.ImageReader decoder = newDecoder();
        try (var in = new MemoryCacheImageInputStream(new ByteArrayInputStream(file.essential()))) {
            decoder.addIIOReadWarningListener((source, warning) -> complaints.add(warning));
            decoder.setInput(in, true, true);
            Raster raster = decoder.readRaster(0, null);
            for (String complaint : complaints)
                if (complaint.contains("Corrupt") || complaint.contains("remature"))
                    throw new DataException("is a damaged JPEG: " + complaint + "; copy it again from its source");
            if (raster.getWidth() != file.width() || raster.getHeight() != file.height())
                throw new DataException("is a damaged JPEG: it decodes to another size than its header says");
            return new Decoded(grey(raster, file), file.orientation());
        } catch (IOException | IllegalArgumentException | IllegalStateException | IndexOutOfBoundsException e) {
            // The JDK's decoder answers damaged tables with any of these.
            throw new DataException("is a damaged JPEG: " + e.getMessage() + "; copy it again from its source", e);
        } finally {
            decoder.dispose();
        }
    }

    private static javax.imageio.ImageReader newDecoder() {
        try {
            return JDK.createReaderInstance();
        } catch (IOException e) {
            throw new IllegalStateException("the JDK's JPEG decoder does not start", e);
        }
    }

    /** The raster holds the file's own components: no colour conversion was asked for. */
    private static Plane grey(Raster raster, JpegFile file) {
        int width = file.width();
        int height = file.height();
        int bands = raster.getNumBands();
        JpegFile.Color color = file.color();
        byte[] out = new byte[Math.multiplyExact(width, height)];
        byte[] row = new byte[width * bands];
        for (int y = 0; y < height; y++) {
            raster.getDataElements(0, y, width, 1, row);
            for (int x = 0, at = 0; x < width; x++, at += bands)
                out[y * width + x] = (byte) switch (color) {
                    case GREY, YCBCR -> row[at] & 0xFF;
                    case RGB -> luma(row[at] & 0xFF, row[at + 1] & 0xFF, row[at + 2] & 0xFF);
                    case CMYK -> ink(luma(row[at] & 0xFF, row[at + 1] & 0xFF, row[at + 2] & 0xFF), row[at + 3] & 0xFF,
                            file.adobe());
                    // Adobe's Y is the luma of 255 - CMY as stored inverted: the first component is enough.
                    case YCCK -> ink(row[at] & 0xFF, row[at + 3] & 0xFF, file.adobe());
                };
        }
        return new Plane(width, height, out);
    }

    /** Rec. 601 luma; equal channels give exactly themselves. */
    static int luma(int red, int green, int blue) {
        return (299 * red + 587 * green + 114 * blue + 500) / 1000;
    }

    /** Light that coloured inks and black together leave, of 255. */
    private static int ink(int colored, int black, boolean inverted) {
        int light = inverted ? colored : 255 - colored;
        int left = inverted ? black : 255 - black;
        return (light * left + 127) / 255;
    }
}
