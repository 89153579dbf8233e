package isthmus.data;

import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;

import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.stream.FileImageOutputStream;

/**
 * Makes the bundled sample from the full three-site data: only films whose licence allows it, shrunk, same patients and
 * splits. Run by hand, with the data's folder and the sample's folder; the result is committed.
 */
final class MakeSample {
    private static final int SHORT_SIDE = 160;
    private static final float QUALITY = 0.9f;
    private static final List<String> COLUMNS = List.of("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding",
            "Pneumonia", "COVID-19");
    /** The start of a source's name, and the whole or start of a licence: both must match one of these pairs. */
    private static final Map<String, String> ALLOWED = Map.of("NIH ChestX-ray14",
            "NIH Clinical Center: usage unrestricted", "Kermany 2018", "CC BY 4.0", "Hannover COVID-19", "CC BY 3.0");
    /** So many patients a split are kept whose Pneumonia is uncertain: enough to show what happens to such labels. */
    private static final int UNCERTAIN_PATIENTS = 4;

    private final Path from;
    private final Path to;
    private final Map<String, NamedCsvRecord> sources = new LinkedHashMap<>();
    private final List<NamedCsvRecord> used = new ArrayList<>();

    private MakeSample(Path from, Path to) throws IOException {
        this.from = from;
        this.to = to;
        for (NamedCsvRecord source : rows(from.resolve("sources.csv")))
            sources.put(source.getField("Path"), source);
    }

    public static void main(String[] args) throws IOException {
        if (args.length != 2)
            throw new IllegalArgumentException("usage: MakeSample DATA_FOLDER SAMPLE_FOLDER");
        var sample = new MakeSample(Path.of(args[0]), Path.of(args[1]));
        for (String site : List.of("site_a", "site_b", "site_c"))
            for (String split : List.of("train", "val"))
                sample.split(site, split);
        List<String> header = sample.used.getFirst().getHeader();
        try (CsvWriter out = writer(sample.to.resolve("sources.csv"))) {
            out.writeRecord(header);
            for (NamedCsvRecord source : sample.used)
                out.writeRecord(source.getFields());
        }
    }

    private void split(String site, String split) throws IOException {
        Set<String> uncertain = new HashSet<>();
        Files.createDirectories(to.resolve(site));
        try (CsvWriter out = writer(to.resolve(site).resolve(split + ".csv"))) {
            out.writeRecord(COLUMNS);
            for (NamedCsvRecord row : rows(from.resolve(site).resolve(split + ".csv"))) {
                String film = site + "/" + row.getField("Path");
                NamedCsvRecord source = sources.get(film);
                if (source == null || !allowed(source) || !wanted(row, uncertain))
                    continue;
                out.writeRecord(COLUMNS.stream().map(row::getField).toList());
                used.add(source);
                shrink(from.resolve(film), to.resolve(film));
            }
        }
    }

    private static boolean allowed(NamedCsvRecord source) {
        return ALLOWED.entrySet().stream().anyMatch(pair -> source.getField("Source").startsWith(pair.getKey())
                && source.getField("Licence").startsWith(pair.getValue())
                && !source.getField("Licence").contains("NC"));
    }

    private static boolean wanted(NamedCsvRecord row, Set<String> uncertain) {
        String label = row.getField("Pneumonia");
        if (label.equals("1.0") || label.equals("0.0"))
            return true;
        String patient = row.getField("Path").replaceFirst(".*(patient\\d+).*", "$1");
        // One film each is enough.
        return uncertain.size() < UNCERTAIN_PATIENTS && uncertain.add(patient);
    }

    private static void shrink(Path source, Path target) throws IOException {
        GreyImage film = new ImageReader().read(source);
        double scale = (double) SHORT_SIDE / Math.min(film.width(), film.height());
        int width = (int) Math.round(film.width() * scale);
        int height = (int) Math.round(film.height() * scale);
        byte[] small = Resampler.resize(film, width, height);
        var image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
        System.arraycopy(small, 0, ((DataBufferByte) image.getRaster().getDataBuffer()).getData(), 0, small.length);
        Files.createDirectories(target.getParent());
        Files.deleteIfExists(target);
        var writer = ImageIO.getImageWritersByFormatName("jpeg").next();
        try (var out = new FileImageOutputStream(target.toFile())) {
            writer.setOutput(out);
            ImageWriteParam how = writer.getDefaultWriteParam();
            how.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
            how.setCompressionQuality(QUALITY);
            // Huffman tables made for each film: some percent smaller, the same pixels.
            how.setProgressiveMode(ImageWriteParam.MODE_DEFAULT);
            writer.write(null, new IIOImage(image, null, null), how);
        } finally {
            writer.dispose();
        }
    }

    private static List<NamedCsvRecord> rows(Path csv) throws IOException {
        try (CsvReader<NamedCsvRecord> reader = CsvReader.builder().ofNamedCsvRecord(csv)) {
            return reader.stream().toList();
        }
    }

    private static CsvWriter writer(Path csv) throws IOException {
        return CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(csv);
    }
}
