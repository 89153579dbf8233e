package isthmus.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import org.junit.jupiter.api.Test;

class NativeExceptionTest {
    @Test
    void namesCallStatusWordsAndContext() {
        var e = new NativeException("dnnl_primitive_create", 3, "unimplemented");
        assertEquals("dnnl_primitive_create: unimplemented (status 3)", e.getMessage());
        var in = e.in("conv [2,3,8,8]").in("step 4");
        assertEquals("step 4: conv [2,3,8,8]: dnnl_primitive_create: unimplemented (status 3)", in.getMessage());
        assertEquals("dnnl_primitive_create", in.call());
        assertEquals(3, in.status());
        assertEquals("unimplemented", in.words());
        assertSame(e, in.getCause().getCause());
    }
}
