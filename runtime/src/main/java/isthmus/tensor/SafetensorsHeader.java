package isthmus.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
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

    private final String source;
    private final JsonParser json;
    private final Set<DType> types;
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final List<Safetensors.Stored> tensors = new ArrayList<>();

    private SafetensorsHeader(String source, JsonParser json, Set<DType> types) {
        this.source = source;
        this.json = json;
        this.types = types;
    }

    /** The header of a file of ours: weights in float32. */
    static Safetensors.Header parse(String source, byte[] body, long dataBytes) {
        return parse(source, body, dataBytes, EnumSet.of(DType.F32), h -> new Safetensors.Header(h.table(),
                Map.copyOf(h.metadata), 8L + body.length));
    }

    /** The header of any program's file. */
    static Safetensors.Contents contents(String source, byte[] body, long dataBytes) {
        return parse(source, body, dataBytes, EnumSet.allOf(DType.class), h -> new Safetensors.Contents(
                List.copyOf(h.tensors), Map.copyOf(h.metadata), 8L + body.length));
    }

    private static <T> T parse(String source, byte[] body, long dataBytes, Set<DType> types,
            Function<SafetensorsHeader, T> result) {
        try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), body)) {
            SafetensorsHeader header = new SafetensorsHeader(source, json, types);
            header.read();
            header.lieWithoutHoles(dataBytes);
            return result.apply(header);
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

    private Safetensors.Stored tensor(String name) {
        DType type = null;
        Shape shape = null;
        long[] offsets = null;
        expect(JsonToken.START_OBJECT);
        while (json.nextToken() != JsonToken.END_OBJECT) {
            switch (json.currentName()) {
                case "dtype" -> {
                    expect(JsonToken.VALUE_STRING);
                    type = type(name, json.getString());
                }
                case "shape" -> shape = shape(name);
                case "data_offsets" -> offsets = longs(name, 2);
                default -> throw wrong(name + " has an unknown key '" + json.currentName() + "'");
            }
        }
        if (type == null || shape == null || offsets == null || offsets.length != 2)
            throw wrong(name + " needs a dtype, a shape and two data_offsets");
        return new Safetensors.Stored(name, type, shape, offsets[0], offsets[1]);
    }

    private DType type(String name, String text) {
        return types.stream().filter(t -> t.name().equals(text)).findAny().orElseThrow(() -> wrong(name + " is " + text
                + "; only " + types.stream().map(DType::name).collect(Collectors.joining(", ")) + " is read"));
    }

    private Shape shape(String name) {
        long[] dims = longs(name, MAX_RANK);
        try {
            Shape shape = Shape.of(Arrays.stream(dims).mapToInt(Math::toIntExact).toArray());
            Math.multiplyExact(shape.elements(), Long.BYTES); // so that nothing overflows later
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

    /** Refuses tensors that do not fill the data from first to last byte without hole or overlap. */
    private void lieWithoutHoles(long dataBytes) {
        if (tensors.isEmpty()) throw wrong("no tensors");
        tensors.sort(Comparator.comparingLong(Safetensors.Stored::begin).thenComparingLong(Safetensors.Stored::end));
        long at = 0;
        for (Safetensors.Stored t : tensors) {
            long bytes = t.shape().elements() * t.type().bytes();
            if (t.begin() != at || t.end() - at != bytes) {
                throw wrong(t.name() + " " + t.shape() + " lies at " + t.begin() + " to " + t.end() + ", expected "
                        + bytes + " bytes at " + at);
            }
            at = t.end();
        }
        if (at != dataBytes) throw wrong("the header describes " + at + " bytes of data, there are " + dataBytes);
    }

    private WeightTable table() {
        Region[] regions = regions();
        WeightTable.Builder table = WeightTable.builder();
        for (int i = 0; i < regions.length; i++)
            table.add(tensors.get(i).name(), tensors.get(i).shape(), regions[i]);
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
