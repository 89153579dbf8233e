package isthmus.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/** The strict parser of safetensors headers: files and peers are not trusted. */
final class SafetensorsHeader {
    private static final int MAX_TENSORS = 100_000;
    private static final int MAX_RANK = 8;

    private static final JsonFactory JSON = JsonFactory.builder()
            .streamReadConstraints(
                    StreamReadConstraints.builder().maxNestingDepth(4).maxNameLength(4096).maxStringLength(4 << 20)
                            .maxNumberLength(20).build())
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    private record Tensor(String name, Shape shape, long begin, long end) {}

    private final String source;
    private final JsonParser json;
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final List<Tensor> tensors = new ArrayList<>();

    private SafetensorsHeader(String source, JsonParser json) {
        this.source = source;
        this.json = json;
    }

    static Safetensors.Header parse(String source, byte[] body, long dataBytes) {
        try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), body)) {
            SafetensorsHeader header = new SafetensorsHeader(source, json);
            header.read();
            return new Safetensors.Header(header.table(dataBytes), Map.copyOf(header.metadata), 8L + body.length);
        } catch (JacksonException e) {
            throw new SafetensorsException(
                    source + ": the header is no JSON of the safetensors form: " + e.getOriginalMessage(), e);
        } catch (ArithmeticException | IllegalArgumentException e) {
            throw new SafetensorsException(source + ": " + e.getMessage(), e);
        }
    }

    private void read() {
        expect(JsonToken.START_OBJECT);
        for (JsonToken t = json.nextToken(); t != JsonToken.END_OBJECT; t = json.nextToken()) {
            String name = json.currentName();
            if (name.equals("__metadata__")) metadata();
            else
                tensors.add(tensor(name));
            if (tensors.size() > MAX_TENSORS) throw wrong("more than " + MAX_TENSORS + " tensors");
        }
        if (json.nextToken() != null) throw wrong("text after the header's end");
    }

    private void metadata() {
        expect(JsonToken.START_OBJECT);
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            expect(JsonToken.VALUE_STRING);
            metadata.put(key, json.getString());
        }
    }

    private Tensor tensor(String name) {
        boolean typed = false;
        Shape shape = null;
        long[] offsets = null;
        expect(JsonToken.START_OBJECT);
        while (json.nextToken() != JsonToken.END_OBJECT) {
            switch (json.currentName()) {
                case "dtype" -> {
                    expect(JsonToken.VALUE_STRING);
                    typed = json.getString().equals("F32");
                    if (!typed) throw wrong(name + " is " + json.getString() + "; only F32 is read");
                }
                case "shape" -> shape = shape(name);
                case "data_offsets" -> offsets = longs(name, 2);
                default -> throw wrong(name + " has an unknown key '" + json.currentName() + "'");
            }
        }
        if (!typed || shape == null || offsets == null || offsets.length != 2)
            throw wrong(name + " needs a dtype, a shape and two data_offsets");
        return new Tensor(name, shape, offsets[0], offsets[1]);
    }

    private Shape shape(String name) {
        long[] dims = longs(name, MAX_RANK);
        try {
            Shape shape = Shape.of(Arrays.stream(dims).mapToInt(Math::toIntExact).toArray());
            Math.multiplyExact(shape.elements(), Float.BYTES); // so that nothing overflows later
            return shape;
        } catch (ArithmeticException e) {
            throw wrong(name + ": the shape " + Arrays.toString(dims) + " is too large");
        }
    }

    private long[] longs(String name, int limit) {
        long[] values = new long[limit];
        int n = 0;
        expect(JsonToken.START_ARRAY);
        while (json.nextToken() != JsonToken.END_ARRAY) {
            if (json.currentToken() != JsonToken.VALUE_NUMBER_INT) throw wrong(name + ": expected a whole number");
            if (n == limit) throw wrong(name + ": a list of more than " + limit + " numbers");
            long value = json.getLongValue();
            if (value < 0) throw wrong(name + ": " + value + " is negative");
            values[n++] = value;
        }
        return Arrays.copyOf(values, n);
    }

    /** The table, if the tensors fill the data from first to last byte without hole or overlap. */
    private WeightTable table(long dataBytes) {
        if (tensors.isEmpty()) throw wrong("no tensors");
        tensors.sort(Comparator.comparingLong(Tensor::begin));
        Region[] regions = regions();
        WeightTable.Builder table = WeightTable.builder();
        long at = 0;
        for (int i = 0; i < tensors.size(); i++) {
            Tensor t = tensors.get(i);
            long bytes = t.shape.elements() * Float.BYTES;
            if (t.begin != at || t.end - at != bytes) {
                throw wrong(t.name + " " + t.shape + " lies at " + t.begin + " to " + t.end + ", expected " + bytes
                        + " bytes at " + at);
            }
            at = t.end;
            table.add(t.name, t.shape, regions[i]);
        }
        if (at != dataBytes) throw wrong("the header describes " + at + " bytes of data, there are " + dataBytes);
        return table.build();
    }

    private Region[] regions() {
        Region[] regions = new Region[tensors.size()];
        Arrays.fill(regions, Region.TRAINABLE);
        String counts = metadata.remove(Safetensors.REGIONS);
        if (counts == null) return regions;
        String[] parts = counts.split(" ", -1);
        Region[] all = Region.values();
        if (parts.length != all.length) throw regionsDoNotFit(counts);
        int at = 0;
        for (int r = 0; r < all.length; r++) {
            int count = Integer.parseInt(parts[r]);
            if (count < 0 || count > regions.length - at) throw regionsDoNotFit(counts);
            Arrays.fill(regions, at, at + count, all[r]);
            at += count;
        }
        if (at != regions.length) throw regionsDoNotFit(counts);
        return regions;
    }

    private SafetensorsException regionsDoNotFit(String counts) {
        return wrong("regions '" + counts + "' do not fit " + tensors.size() + " tensors in "
                + Arrays.toString(Region.values()));
    }

    private void expect(JsonToken token) {
        JsonToken next = json.nextToken();
        if (next != token) throw wrong("expected " + token + ", found " + next);
    }

    private SafetensorsException wrong(String what) { return new SafetensorsException(source + ": " + what); }
}
