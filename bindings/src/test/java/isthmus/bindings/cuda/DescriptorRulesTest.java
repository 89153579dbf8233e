package isthmus.bindings.cuda;

import static isthmus.bindings.cudnn.CudnnConstants.*;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import isthmus.bindings.NativeException;
import isthmus.bindings.cudnn.Cudnn;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * What cuDNN refuses of descriptors, the emulation refuses, too: one list of mistakes, on the emulation and on the real
 * library where it is found.
 */
class DescriptorRulesTest {
    /** A mistake; what throws is the last call that it makes. */
    interface Mistake {
        void make(Cudnn cudnn);
    }

    private static final Map<String, Mistake> BOTH_REFUSE = new LinkedHashMap<>();
    private static final Map<String, Mistake> ONLY_THE_EMULATION_REFUSES = new LinkedHashMap<>();

    static {
        Map<String, Mistake> both = BOTH_REFUSE;
        both.put("tensor without dimensions", c -> tensor(c, CUDNN_ATTR_TENSOR_DIMENSIONS));
        both.put("tensor without strides", c -> tensor(c, CUDNN_ATTR_TENSOR_STRIDES));
        both.put("tensor without alignment", c -> tensor(c, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT));
        both.put("tensor of 4 dimensions and 3 strides", c -> tensor(c, CUDNN_ATTR_TENSOR_STRIDES, 24, 1, 8));
        both.put("tensor of 9 dimensions", c -> tensor(c, CUDNN_ATTR_TENSOR_DIMENSIONS, 1, 1, 1, 1, 1, 1, 1, 1, 1));
        both.put("alignment 0", c -> tensor(c, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0));
        both.put("alignment 1 of halves", c -> tensor(c, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1));
        both.put("alignment 3", c -> tensor(c, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 3));
        both.put("two unique ids", c -> tensor(c, CUDNN_ATTR_TENSOR_UNIQUE_ID, 1, 2));
        both.put("float for an int64",
                c -> c.setFloat(make(c, CUDNN_BACKEND_TENSOR_DESCRIPTOR), CUDNN_ATTR_TENSOR_UNIQUE_ID, 1));
        both.put("int32 for a data type", c -> c.setInt(make(c, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),
                CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_INT32, CUDNN_DATA_FLOAT));
        both.put("attribute of another kind",
                c -> c.setLongs(make(c, CUDNN_BACKEND_TENSOR_DESCRIPTOR), CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2));
        both.put("set after finalize", c -> c.setLongs(tensor(c, 0), CUDNN_ATTR_TENSOR_UNIQUE_ID, 2));
        both.put("finalized twice", c -> c.finish(tensor(c, 0)));
        both.put("read before finalize",
                c -> c.getLong(make(c, CUDNN_BACKEND_TENSOR_DESCRIPTOR), CUDNN_ATTR_TENSOR_UNIQUE_ID));
        for (int a : new int[]{CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_ATTR_CONVOLUTION_DILATIONS,
                CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES})
            both.put("convolution without attribute " + a, c -> convolution(c, a));
        both.put("stride 0", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 0, 1));
        both.put("dilation 0", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_DILATIONS, 0, 1));
        both.put("padding -1", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, -1, 1));
        both.put("3 strides of 2 axes", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 1, 1, 1));
        both.put("1 stride of 2 axes", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 1));
        for (int a : new int[]{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y})
            both.put("operation without attribute " + a, c -> operation(c, a, 8, 4, 5));
        both.put("output of another size", c -> operation(c, 0, 8, 4, 6));
        both.put("output of other channels", c -> operation(c, 0, 8, 3, 5));
        both.put("input of other channels", c -> operation(c, 0, 9, 4, 5));
        both.put("graph without operations", c -> c.finish(make(c, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)));
        both.put("heuristics without graph", DescriptorRulesTest::heuristicsWithoutGraph);
        both.put("fewer ids than pointers", c -> pack(c, new long[]{1, 2}));
        both.put("no ids", c -> pack(c, new long[0]));
        both.put("no such kind", c -> make(c, 999));
        both.put("device of an empty text", c -> device(c, "{}"));
        both.put("device of no text", c -> device(c, "nonsense"));
        Map<String, Mistake> strict = ONLY_THE_EMULATION_REFUSES;
        strict.put("tensor without data type", c -> tensor(c, CUDNN_ATTR_TENSOR_DATA_TYPE));
        strict.put("tensor without unique id", c -> tensor(c, CUDNN_ATTR_TENSOR_UNIQUE_ID));
        strict.put("dimension 0", c -> tensor(c, CUDNN_ATTR_TENSOR_DIMENSIONS, 1, 0, 3, 4));
        strict.put("convolution without compute type", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE));
        strict.put("convolution without mode", c -> convolution(c, CUDNN_ATTR_CONVOLUTION_CONV_MODE));
        strict.put("operation without alpha",
                c -> operation(c, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 8, 4, 5));
        strict.put("an id twice", c -> pack(c, new long[]{1, 1, 3}));
    }

    @TestFactory
    Stream<DynamicTest> mistakesAreRefused() {
        List<DynamicTest> tests = new ArrayList<>();
        Cudnn emulated = CudaLibraries.emulated().cudnn();
        Cudnn real = CudaLibraries.found().cudnn();
        for (var library : Map.of("emulation", emulated, "real", real).entrySet()) {
            if (library.getValue().problem().isPresent()) {
                System.out.println("DescriptorRulesTest: not run: " + library.getValue().problem().get());
                continue;
            }
            Map<String, Mistake> all = new LinkedHashMap<>(BOTH_REFUSE);
            if (library.getValue() == emulated) all.putAll(ONLY_THE_EMULATION_REFUSES);
            System.out.println("DescriptorRulesTest: " + all.size() + " mistakes on " + library.getKey());
            all.forEach((name, mistake) -> tests.add(dynamicTest(library.getKey() + ": " + name,
                    () -> assertRefused(mistake, library.getValue()))));
        }
        return tests.stream();
    }

    private static void assertRefused(Mistake mistake, Cudnn cudnn) {
        String message = assertThrows(NativeException.class, () -> mistake.make(cudnn)).getMessage();
        assertTrue(message.contains("CUDNN_STATUS_"), message);
    }

    private static MemorySegment make(Cudnn c, int kind) { return c.createDescriptor(kind); }

    /** A tensor whose attribute {@code changed} has other numbers, or is missing. */
    private static MemorySegment tensor(Cudnn c, int changed, long... numbers) {
        return tensor(c, 1, new long[]{1, 2, 3, 4}, changed, numbers);
    }

    private static MemorySegment tensor(Cudnn c, long id, long[] dims, int changed, long... numbers) {
        MemorySegment t = make(c, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        if (changed != CUDNN_ATTR_TENSOR_DATA_TYPE)
            c.setInt(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_HALF);
        long[] strides = {dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]};
        setLongs(c, t, CUDNN_ATTR_TENSOR_DIMENSIONS, dims, changed, numbers);
        setLongs(c, t, CUDNN_ATTR_TENSOR_STRIDES, strides, changed, numbers);
        setLongs(c, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, new long[]{id}, changed, numbers);
        setLongs(c, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, new long[]{16}, changed, numbers);
        c.finish(t);
        return t;
    }

    private static void setLongs(Cudnn c, MemorySegment of, int attribute, long[] good, int changed, long... numbers) {
        long[] values = attribute == changed ? numbers : good;
        if (values.length > 0) c.setLongs(of, attribute, values);
    }

    private static MemorySegment convolution(Cudnn c, int changed, long... numbers) {
        MemorySegment v = make(c, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
        if (changed != CUDNN_ATTR_CONVOLUTION_COMP_TYPE)
            c.setInt(v, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
        if (changed != CUDNN_ATTR_CONVOLUTION_CONV_MODE)
            c.setInt(v, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
        setLongs(c, v, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, new long[]{2}, changed, numbers);
        for (int a : new int[]{CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
                CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS})
            setLongs(c, v, a, new long[]{1, 1}, changed, numbers);
        c.finish(v);
        return v;
    }

    /** A 3x3 convolution of weights [4,8,3,3] over 5x5 positions, with an attribute missing or other sizes. */
    private static void operation(Cudnn c, int missing, long channels, long outputs, long size) {
        MemorySegment op = make(c, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
        if (missing != CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA)
            c.setFloat(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1);
        c.setFloat(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0);
        Map<Integer, MemorySegment> parts = new LinkedHashMap<>();
        parts.put(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution(c, 0));
        parts.put(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, tensor(c, 1, new long[]{4, 8, 3, 3}, 0));
        parts.put(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, tensor(c, 2, new long[]{2, channels, 5, 5}, 0));
        parts.put(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, tensor(c, 3, new long[]{2, outputs, size, 5}, 0));
        parts.forEach((a, d) -> {
            if (a != missing) c.setPointers(op, a, CUDNN_TYPE_BACKEND_DESCRIPTOR, d);
        });
        c.finish(op);
    }

    private static void heuristicsWithoutGraph(Cudnn c) {
        MemorySegment h = make(c, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
        c.setInt(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
        c.finish(h);
    }

    private static void pack(Cudnn c, long[] ids) {
        MemorySegment p = make(c, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        if (ids.length > 0) c.setLongs(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids);
        MemorySegment[] pointers = {MemorySegment.ofAddress(16), MemorySegment.ofAddress(32),
                MemorySegment.ofAddress(48)};
        c.setPointers(p, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers);
        c.finish(p);
    }

    private static void device(Cudnn c, String text) {
        MemorySegment d = make(c, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
        c.setText(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, text);
        c.finish(d);
    }
}
