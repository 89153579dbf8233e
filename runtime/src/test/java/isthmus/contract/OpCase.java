package isthmus.contract;

import isthmus.graph.Graph;
import isthmus.nn.Seeds;
import isthmus.op.Cast;
import isthmus.op.Kind;
import isthmus.op.Op;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A small graph around one op (or two that belong together), with values for everything it reads. */
final class OpCase {
    /** What an argument is to the op, which decides its type and its order in memory. */
    enum Use {
        /** A trainable parameter behind a cast: an activation, channels-last. */
        ACTIVATION,
        /** A trainable parameter, row-major. */
        WEIGHT,
        /** A running statistic. */
        STATISTIC,
        /** A weight that is not trained, row-major. */
        FROZEN,
        /** Fed in, float32. */
        TARGET,
        /** Fed in, class numbers. */
        LABEL,
        /** Fed in, bytes. */
        BYTES
    }

    /** One argument; values in logical order. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Arg(String name, Shape shape, Use use, float[] values) {
        boolean isParameter() {
            return use == Use.ACTIVATION || use == Use.WEIGHT || use == Use.STATISTIC || use == Use.FROZEN;
        }
    }

    /** Adds the op under test and returns the value to look at. */
    interface Build {
        Value build(Graph graph, Map<String, Value> in);
    }

    private final String name;
    private final List<Arg> args = new ArrayList<>();
    private Build build;

    OpCase(String name) { this.name = name; }

    /** Distinct values in (-1, 1), none near 0: a shuffled grid, so that maxima and signs are never in doubt. */
    OpCase arg(String arg, Use use, int... dims) {
        Shape shape = Shape.of(dims);
        return arg(arg, use, shape, grid(name + "/" + arg, Math.toIntExact(shape.elements())));
    }

    OpCase arg(String arg, Use use, Shape shape, float... values) {
        args.add(new Arg(arg, shape, use, values));
        return this;
    }

    OpCase op(Op op) { return build((g, in) -> g.apply(name, op, in.values().toArray(Value[]::new)).getFirst()); }

    OpCase build(Build how) {
        build = how;
        return this;
    }

    static float[] grid(String key, int n) {
        long seed = Seeds.key(12, key);
        float[] v = new float[n];
        for (int i = 0; i < n; i++)
            v[i] = (2 * i + 1f) / n - 1 + (2 * i + 1 == n ? 0.5f / n : 0);
        for (int i = n - 1; i > 0; i--) {
            int j = (int) (Seeds.uniform(seed, i) * (i + 1));
            float swap = v[i];
            v[i] = v[j];
            v[j] = swap;
        }
        return v;
    }

    List<Arg> args() { return args; }

    /** Declares the arguments and the op; the value is the output {@code y}. */
    Value declare(Graph graph) {
        Map<String, Value> in = new LinkedHashMap<>();
        for (Arg a : args) {
            in.put(a.name, switch (a.use) {
                case ACTIVATION -> graph.apply(a.name, new Cast(Kind.ACTIVATION),
                        graph.parameter(a.name, a.shape, Region.TRAINABLE)).getFirst();
                case WEIGHT -> graph.parameter(a.name, a.shape, Region.TRAINABLE);
                case STATISTIC -> graph.parameter(a.name, a.shape, Region.STATISTICS);
                case FROZEN -> graph.parameter(a.name, a.shape, Region.FROZEN);
                case TARGET -> graph.input(a.name, new Spec(a.shape, Kind.FLOAT));
                case LABEL -> graph.input(a.name, new Spec(a.shape, Kind.LABEL));
                case BYTES -> graph.input(a.name, new Spec(a.shape, Kind.BYTE));
            });
        }
        Value y = build.build(graph, in);
        graph.output("y", graph.apply("y", new Cast(Kind.FLOAT), y).getFirst());
        return y;
    }

    @Override
    public String toString() { return name; }
}
