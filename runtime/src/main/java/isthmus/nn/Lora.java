package isthmus.nn;

import java.util.List;

/**
 * Low-rank adapters (Hu et al. 2021, arXiv 2106.09685, section 4.1): a chosen layer computes
 * {@code y = base(x) + alpha / rank B(A(x))}, its own weights frozen. Linear layers: {@code lora_A [rank,I]},
 * {@code lora_B [O,rank]}. Convolutions: A is the layer's own window with {@code rank} outputs,
 * {@code lora_A [rank,I,k...]}, and B a 1x1 convolution, {@code lora_B [O,rank,1...]}; so
 * {@code W + alpha / rank B A} is a weight of the layer's own shape. A starts Kaiming-uniform, B at zero: an adapted
 * network starts as its base. Grouped convolutions get none.
 *
 * @param rank columns of B and rows of A
 * @param alpha the adapters' part is scaled by {@code alpha / rank}
 * @param layers {@linkplain NamePattern patterns} of layer names, such as {@code fc1}
 */
public record Lora(int rank, double alpha, List<String> layers) {
    public Lora {
        layers = List.copyOf(layers);
        layers.forEach(NamePattern::new);
        if (rank < 1) throw new IllegalArgumentException("lora: rank is " + rank + "; it is 1 or more");
        if (!(alpha > 0)) throw new IllegalArgumentException("lora: alpha is " + alpha + "; it is more than 0");
        if (layers.isEmpty())
            throw new IllegalArgumentException(
                    "lora: name at least one layer; \"*\" means every linear and convolution");
    }

    /** {@code alpha / rank}. */
    public float scale() { return (float) (alpha / rank); }

    /** Whether that layer gets an adapter. */
    public boolean adapts(String layer) {
        return layers.stream().anyMatch(p -> new NamePattern(p).fits(layer));
    }
}
