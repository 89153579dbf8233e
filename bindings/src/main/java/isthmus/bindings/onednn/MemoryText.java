package isthmus.bindings.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_BLOCKED;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_FORMAT_KIND_ANY;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_FORMAT_KIND;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_IMPL_INFO_STR;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_INNER_BLKS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_INNER_IDXS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_INNER_NBLKS_S32;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_MEMORY_CONSUMPTION_S64;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_NDIMS_S32;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_QUERY_STRIDES;

import isthmus.bindings.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Comparator;
import java.util.stream.IntStream;

/** What oneDNN's queries answer, as Java values. */
public final class MemoryText {
    private MemoryText() {}

    /** A layout as text: axes from the widest stride to the narrowest, then the inner blocks: {@code acdb:16b16a2b}. */
    public static String layout(MemorySegment desc) {
        if (desc.address() == 0) return "none";
        int kind = asInt(desc, DNNL_QUERY_FORMAT_KIND);
        if (kind != DNNL_BLOCKED) return kind == DNNL_FORMAT_KIND_ANY ? "any" : "opaque";
        int n = asInt(desc, DNNL_QUERY_NDIMS_S32);
        long[] strides = asLongs(desc, DNNL_QUERY_STRIDES, n);
        var text = new StringBuilder();
        IntStream.range(0, n).boxed().sorted(Comparator.comparingLong((Integer i) -> -strides[i]))
                .forEach(axis -> text.append(letter(axis)));
        int blocks = asInt(desc, DNNL_QUERY_INNER_NBLKS_S32);
        long[] sizes = asLongs(desc, DNNL_QUERY_INNER_BLKS, blocks);
        long[] axes = asLongs(desc, DNNL_QUERY_INNER_IDXS, blocks);
        for (int i = 0; i < blocks; i++)
            text.append(i == 0 ? ":" : "").append(sizes[i]).append(letter((int) axes[i]));
        return text.toString();
    }

    /** The name of the implementation that a primitive descriptor chose, such as {@code brgconv:avx512_core_bf16}. */
    public static String implementation(MemorySegment primitiveDesc) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            OneDnn.primitiveDescQuery(primitiveDesc, DNNL_QUERY_IMPL_INFO_STR, 0, out);
            return NativeMemory.text(out.get(ValueLayout.ADDRESS, 0));
        }
    }

    /** Bytes that a primitive takes beside its arguments. */
    public static long memoryConsumption(MemorySegment primitiveDesc) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.JAVA_LONG);
            OneDnn.primitiveDescQuery(primitiveDesc, DNNL_QUERY_MEMORY_CONSUMPTION_S64, 0, out);
            return out.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    private static char letter(int axis) { return (char) ('a' + axis); }

    private static int asInt(MemorySegment desc, int what) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.JAVA_INT);
            OneDnn.memoryDescQuery(desc, what, out);
            return out.get(ValueLayout.JAVA_INT, 0);
        }
    }

    private static long[] asLongs(MemorySegment desc, int what, int count) {
        if (count == 0) return new long[0];
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            OneDnn.memoryDescQuery(desc, what, out);
            return NativeMemory.view(out.get(ValueLayout.ADDRESS, 0), 8L * count).toArray(ValueLayout.JAVA_LONG);
        }
    }
}
