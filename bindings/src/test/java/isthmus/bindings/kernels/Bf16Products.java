package isthmus.bindings.kernels;

import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.OneDnnConstants;
import org.junit.jupiter.api.Assumptions;

/** Whether this processor, and the build of the kernels that is in use, have AVX-512's bf16 products. */
final class Bf16Products {
    private Bf16Products() {}

    static boolean served() {
        int isa = OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE_BF16;
        return Kernels.isa().equals("avx512") && (OneDnn.getEffectiveCpuIsa() & isa) == isa;
    }

    static void assumeServed() { Assumptions.assumeTrue(served(), "no AVX-512 BF16 here"); }
}
