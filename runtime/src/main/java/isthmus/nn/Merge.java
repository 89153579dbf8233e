package isthmus.nn;

import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Folds adapters into the weights that they adapt: {@code W + alpha / rank B A} (Hu et al. 2021, section 4.1), so that the
 * plain network computes what the adapted one did. For convolutions B A is a product of matrices as well:
 * {@code [O,rank] [rank, I k...]}, because B's window is one position.
 */
public final class Merge {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

    private Merge() {}

    /**
     * Writes the plain network's weights.
     *
     * @param model the adapted model
     * @param from its weights; they stay as they are
     * @param plain a buffer of the table of {@code model.with(Adaptation.NONE)}
     */
    public static void into(Model model, WeightBuffer from, WeightBuffer plain) {
        plain.copyByName(from);
        float scale = model.adaptation().lora().map(Lora::scale).orElse(0f);
        for (WeightTable.Entry w : plain.table().entries()) {
            String layer = w.name().substring(0, Math.max(0, w.name().lastIndexOf('.')));
            if (w.name().endsWith(".weight") && from.table().has(layer + ".lora_A")) add(w, layer, scale, from, plain);
        }
    }

    private static void add(WeightTable.Entry w, String layer, float scale, WeightBuffer from, WeightBuffer plain) {
        WeightTable.Entry factor = from.table().entry(layer + ".lora_A");
        MemorySegment a = from.slice(factor);
        MemorySegment b = from.slice(layer + ".lora_B");
        MemorySegment weight = plain.slice(w);
        Shape shape = factor.shape();
        int rank = shape.dim(0);
        long columns = shape.elementsFrom(1);
        for (int o = 0; o < w.shape().dim(0); o++) {
            for (long c = 0; c < columns; c++) {
                double sum = 0;
                for (int r = 0; r < rank; r++)
                    sum += (double) b.getAtIndex(F32, (long) o * rank + r) * a.getAtIndex(F32, r * columns + c);
                long at = o * columns + c;
                weight.setAtIndex(F32, at, (float) (weight.getAtIndex(F32, at) + scale * sum));
            }
        }
    }
}
