package isthmus.bindings.onednn;

import static isthmus.bindings.onednn.OneDnnConstants.DNNL_AB;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_DST;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_SRC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_ARG_WEIGHTS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_CPU;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_F32;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_INVALID_ARGUMENTS;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_NHWC;
import static isthmus.bindings.onednn.OneDnnConstants.DNNL_STREAM_IN_ORDER;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

class OneDnnTest {
    @Test
    void loads() {
        assertTrue(OneDnn.problem().isEmpty(), () -> OneDnn.problem().orElseThrow());
        assertTrue(OneDnn.version().startsWith("3.11."), OneDnn.version());
        assertTrue(OneDnn.ompGetMaxThreads() >= 1);
    }

    @Test
    void multipliesMatrices() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment engine = OneDnn.engineCreate(DNNL_CPU, 0);
            MemorySegment stream = OneDnn.streamCreate(engine, DNNL_STREAM_IN_ORDER);
            MemorySegment a = OneDnn.memoryDescCreateWithTag(new long[]{2, 3}, DNNL_F32, DNNL_AB);
            MemorySegment b = OneDnn.memoryDescCreateWithStrides(new long[]{3, 2}, DNNL_F32, new long[]{1, 3});
            MemorySegment c = OneDnn.memoryDescCreateWithTag(new long[]{2, 2}, DNNL_F32, DNNL_AB);
            assertEquals("ab", MemoryText.layout(a));
            assertEquals("ba", MemoryText.layout(b));
            assertEquals(24, OneDnn.memoryDescGetSize(a));
            assertFalse(OneDnn.memoryDescEqual(a, b));
            MemorySegment desc = PrimitiveDescs.matmul(engine, a, b, MemorySegment.NULL, c, MemorySegment.NULL);
            assertFalse(MemoryText.implementation(desc).isBlank());
            MemorySegment primitive = OneDnn.primitiveCreate(desc);
            MemorySegment product = arena.allocate(16, 64);
            MemorySegment args = arena.allocate(3 * OneDnn.EXEC_ARG_BYTES, 8);
            MemorySegment[] memories = {memory(arena, a, engine, 1, 2, 3, 4, 5, 6),
                    memory(arena, b, engine, 1, 0, 1, 0, 1, 0),
                    OneDnn.memoryCreate(c, engine, MemorySegment.NULL)};
            OneDnn.memorySetDataHandle(memories[2], product);
            assertEquals(product.address(), OneDnn.memoryGetDataHandle(memories[2]).address());
            OneDnn.putExecArg(args, 0, DNNL_ARG_SRC, memories[0]);
            OneDnn.putExecArg(args, 1, DNNL_ARG_WEIGHTS, memories[1]);
            OneDnn.putExecArg(args, 2, DNNL_ARG_DST, memories[2]);
            OneDnn.execute(primitive, stream, 3, args);
            OneDnn.streamWait(stream);
            assertArrayEquals(new float[]{4, 2, 10, 5}, product.toArray(ValueLayout.JAVA_FLOAT));
            for (MemorySegment m : memories)
                OneDnn.memoryDestroy(m);
            OneDnn.primitiveDestroy(primitive);
            OneDnn.primitiveDescDestroy(desc);
            for (MemorySegment d : new MemorySegment[]{a, b, c})
                OneDnn.memoryDescDestroy(d);
            OneDnn.streamDestroy(stream);
            OneDnn.engineDestroy(engine);
        }
    }

    private static MemorySegment memory(Arena arena, MemorySegment desc, MemorySegment engine, float... values) {
        return OneDnn.memoryCreate(desc, engine, arena.allocateFrom(ValueLayout.JAVA_FLOAT, values));
    }

    @Test
    void saysWhatWasRefused() {
        var e = assertThrows(NativeException.class,
                () -> OneDnn.memoryDescCreateWithTag(new long[]{2, 3}, DNNL_F32, DNNL_NHWC));
        assertEquals(DNNL_INVALID_ARGUMENTS, e.status());
        assertEquals("conv x [2, 3]: dnnl_memory_desc_create_with_tag: invalid_arguments (status 2)",
                e.in("conv x [2, 3]").getMessage());
    }
}
