package isthmus.data;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import javax.imageio.ImageIO;

/** Writes small pictures with a table, for tests that need many files and know every pixel. */
public final class Films {
    private Films() {}

    /** Pictures of 40 x 36 pixels, each with its own pattern; labels Pneumonia (i is odd) and COVID-19 (each third). */
    public static LabelTable write(Path folder, int count) throws IOException {
        var text = new StringBuilder("Path,Pneumonia,COVID-19\n");
        for (int i = 0; i < count; i++) {
            String name = String.format("film%03d.png", i);
            ImageIO.write(picture(40, 36, i), "png", folder.resolve(name).toFile());
            text.append(name).append(',').append(i % 2).append(',').append(i % 3 == 0 ? "1" : i % 3 == 1 ? "0" : "")
                    .append('\n');
        }
        Path csv = folder.resolve("train.csv");
        Files.writeString(csv, text);
        return LabelTable.read(csv, List.of("Pneumonia", "COVID-19"), LabelTable.Options.standard());
    }

    static BufferedImage picture(int width, int height, int salt) {
        var image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                image.getRaster().setSample(x, y, 0, x * 5 + y * 3 + salt * 17 & 0xFF);
        return image;
    }
}
