package isthmus.backend.onednn;

import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.util.function.Function;

/**
 * Where convolutions go by Winograd's algorithm: 16 products in place of 36 for a 3 x 3 kernel, at the price of two
 * transforms. That pays where products are the limit: in bf16 on AVX-512; AMX has eight times as many.
 */
final class Winograd {
    /** Channels, in and out, come in multiples of this. */
    private static final int BLOCK = 32;

    /** A map of odd size ends in the middle of a 2 x 2 tile; below this part of the tiles' area the gain is gone. */
    private static final double USED = 0.6;

    /** Taps of depth, as many as the weight gradient's kernel takes. */
    private static final int MOST_DEPTH = 7;

    private static final long FEW_TILES = 64;
    private static final long MANY_WEIGHTS = 9L * 128 * 128;

    private Winograd() {}

    /** Whether our kernels do a convolution between x and y {@code [N,C,...]}. */
    static boolean serves(Window window, int groups, Value x, Value y, Function<Value, DType> types) {
        return types.apply(x) == DType.BF16 && types.apply(y) == DType.BF16 && groups == 1
                && serves(window, x.shape(), y.shape());
    }

    private static boolean serves(Window window, Shape x, Shape y) {
        return x.dim(1) % BLOCK == 0 && y.dim(1) % BLOCK == 0 && shaped(window)
                && used(y) >= USED && Dnnl.bf16InVectors();
    }

    /**
     * Whether our weight gradient is worth its transforms, if it serves: not where many weights meet few tiles, as their
     * transform back is most of the work then.
     */
    static boolean paysForWeights(Shape y, Shape weight) {
        long lines = (y.dim(y.rank() - 2) + 1L) / 2;
        long tiles = lines * ((y.dim(y.rank() - 1) + 1L) / 2) * y.elements() / y.dim(1) / y.elementsFrom(y.rank() - 2);
        return tiles >= FEW_TILES || weight.elements() <= MANY_WEIGHTS;
    }

    private static boolean shaped(Window w) {
        int axes = w.axes();
        if (axes < 2) return false;
        for (int i = 0; i < axes; i++) {
            boolean taps = i < axes - 2 ? w.kernel().get(i) <= MOST_DEPTH : w.kernel().get(i) == 3;
            boolean turns = w.padding().get(i) < w.kernel().get(i);
            if (!taps || !turns || w.stride().get(i) != 1 || w.dilation().get(i) != 1) return false;
        }
        return true;
    }

    private static double used(Shape y) {
        double high = y.dim(y.rank() - 2);
        double wide = y.dim(y.rank() - 1);
        return high * wide / (4 * Math.ceil(high / 2) * Math.ceil(wide / 2));
    }
}
