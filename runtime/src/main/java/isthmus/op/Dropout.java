package isthmus.op;

import java.util.List;
import java.util.Map;

/**
 * Dropout (Srivastava et al. 2014), inverted: {@code y = x / (1 - p)} with probability {@code 1 - p}, else 0. Whether
 * element i (in memory order) stays is a function of the run's seed, the step, this op's {@code id} and i alone, so the
 * backward pass is the same op on dy and nothing is stored.
 */
public record Dropout(float probability, int id) implements Op {
    public Dropout {
        ShapeException.require(probability >= 0 && probability < 1, "dropout",
                "probability " + probability + " is not in [0, 1)");
    }

    @Override
    public String name() { return "dropout"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void gradient(Backward b) { if (b.wants(0)) b.give(0, b.apply(this, b.upstream(0)).getFirst()); }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Identity", Map.of(), o.input(0)); }

    /** The arrays are in memory order here, as they are for views: which element stays depends on where it lies. */
    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++) {
            boolean keep = uniform(r.seed(), r.step(), id, i) >= probability;
            r.out(0)[i] = keep ? r.in(0)[i] / (1 - probability) : 0;
        }
    }

    /** The number in [0, 1) that decides for one element: splitmix64 over a key of seed, step and op, and the index. */
    static float uniform(long seed, long step, int id, long index) {
        long key = mix(seed ^ mix(step * 0x9E3779B97F4A7C15L + id));
        return (mix(key + index * 0x9E3779B97F4A7C15L) >>> 40) * 0x1p-24f;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
