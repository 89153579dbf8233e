package isthmus.tensor;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The table of a flat float32 weight buffer: name, shape, region and offset of every parameter, packed without holes,
 * regions one after the other. Two parties may exchange weights if their {@link #digest()} agrees.
 */
public final class WeightTable {
    /** One parameter. {@code offset} counts float32 elements from the start of the buffer. */
    public record Entry(String name, Shape shape, Region region, long offset) {
        /** Number of float32 elements. */
        public long elements() { return shape.elements(); }
    }

    /** A stretch of the buffer, in float32 elements. */
    public record Range(long offset, long length) {
        /** First element behind the stretch. */
        public long end() { return offset + length; }
    }

    private final Map<String, Entry> byName;
    private final List<Entry> entries;
    private final long elements;
    private final String digest;

    private WeightTable(List<Entry> entries, long elements) {
        this.entries = List.copyOf(entries);
        this.elements = elements;
        this.byName = new LinkedHashMap<>();
        for (Entry e : entries)
            byName.put(e.name, e);
        this.digest = digest(entries);
    }

    /** Collects parameters in the order of their declaration. */
    public static final class Builder {
        private final Map<String, Entry> declared = new LinkedHashMap<>();

        /** Adds a parameter; names are unique. */
        public Builder add(String name, Shape shape, Region region) {
            if (name.isEmpty()) throw new IllegalArgumentException("a weight needs a name");
            // The digest separates names by control characters, and safetensors keeps one name for itself.
            if (name.chars().anyMatch(Character::isISOControl) || name.equals("__metadata__"))
                throw new IllegalArgumentException("no weight may be called " + name);
            if (shape.elements() == 0)
                throw new IllegalArgumentException("weight " + name + ": shape " + shape + " is empty");
            if (declared.putIfAbsent(name, new Entry(name, shape, region, -1)) != null) {
                throw new IllegalArgumentException("weight " + name + " is declared twice");
            }
            return this;
        }

        /** Lays the regions out one after the other, each in order of declaration. */
        public WeightTable build() {
            List<Entry> laid = new ArrayList<>();
            long offset = 0;
            for (Region region : Region.values()) {
                for (Entry e : declared.values()) {
                    if (e.region != region) continue;
                    laid.add(new Entry(e.name, e.shape, region, offset));
                    offset = Math.addExact(offset, e.elements());
                }
            }
            return new WeightTable(laid, offset);
        }
    }

    /** An empty table to add to. */
    public static Builder builder() { return new Builder(); }

    /** All parameters in the order of their offsets. */
    public List<Entry> entries() { return entries; }

    /** Length of the buffer in float32 elements. */
    public long elements() { return elements; }

    /** Length of the buffer in bytes. */
    public long bytes() { return elements * Float.BYTES; }

    /** The parameter of that name; an error naming the nearest one if there is none. */
    public Entry entry(String name) {
        Entry e = byName.get(name);
        if (e == null)
            throw new IllegalArgumentException("no weight is called " + name + "; there are " + byName.keySet());
        return e;
    }

    /** Whether a parameter of that name exists. */
    public boolean has(String name) { return byName.containsKey(name); }

    /** The stretch that one region takes; its length may be 0. */
    public Range range(Region region) {
        long first = -1;
        long length = 0;
        long before = 0;
        for (Entry e : entries) {
            if (e.region == region) {
                if (first < 0) first = e.offset;
                length += e.elements();
            }
            if (e.region.compareTo(region) < 0) before += e.elements();
        }
        return new Range(first < 0 ? before : first, length);
    }

    /** What sites and server exchange: the trainable weights and the running statistics, one stretch to the end. */
    public Range exchanged() {
        Range trainable = range(Region.TRAINABLE);
        return new Range(trainable.offset, elements - trainable.offset);
    }

    /** SHA-256 (hex) over names, shapes and regions in order. */
    public String digest() { return digest; }

    private static String digest(List<Entry> entries) {
        StringBuilder text = new StringBuilder();
        for (Entry e : entries)
            text.append(e.name).append('\t').append(e.shape).append('\t').append(e.region).append('\n');
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(text.toString().getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(hash);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** What keeps two tables apart, first difference first, at most {@code limit} lines; empty if they agree. */
    public List<String> differences(WeightTable other, int limit) {
        List<String> lines = new ArrayList<>();
        for (Entry e : entries) {
            if (lines.size() == limit) return lines;
            Entry o = other.byName.get(e.name);
            if (o == null) lines.add(e.name + " " + e.shape + " is missing");
            else if (!o.shape.equals(e.shape)) lines.add(e.name + " is " + o.shape + ", expected " + e.shape);
            else if (o.region != e.region) lines.add(e.name + " is " + o.region + ", expected " + e.region);
        }
        for (Entry o : other.entries) {
            if (lines.size() == limit) return lines;
            if (!byName.containsKey(o.name)) lines.add(o.name + " " + o.shape + " is not expected");
        }
        return lines;
    }
}
