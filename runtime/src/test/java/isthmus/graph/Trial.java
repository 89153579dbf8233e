package isthmus.graph;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.nn.Seeds;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.TreeMap;

/** One training step of a graph from seeded weights and inputs. */
final class Trial {
    private Trial() {}

    /** Outputs, gradients, and the weights after it. */
    static Map<String, float[]> run(Graph graph, Backend backend, Rewrites rewrites) {
        return run(graph, backend, Precision.FP32, rewrites);
    }

    static Map<String, float[]> run(Graph graph, Backend backend, Precision precision, Rewrites rewrites) {
        Map<String, float[]> results = new TreeMap<>();
        backend.enter();
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            WeightBuffer gradients = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            graph.parameters().keySet().forEach(name -> fill(weights.slice(name), name));
            try (Program program = Program.compile(graph, backend, precision, weights, gradients, null, 0,
                    rewrites)) {
                fill(program.input(RandomGraph.IMAGE), RandomGraph.IMAGE);
                program.input(RandomGraph.LABELS).setAtIndex(ValueLayout.JAVA_FLOAT, 0, 1);
                program.run();
                for (String name : graph.outputs().keySet())
                    results.put("output " + name, program.output(name).toArray(ValueLayout.JAVA_FLOAT));
            }
            backend.toHost(weights.segment());
            backend.toHost(gradients.segment());
            graph.parameterGradients().keySet().forEach(
                    name -> results.put("gradient of " + name, gradients.slice(name).toArray(ValueLayout.JAVA_FLOAT)));
            graph.parameters().keySet().forEach(
                    name -> results.put("value of " + name, weights.slice(name).toArray(ValueLayout.JAVA_FLOAT)));
        }
        return results;
    }

    private static void fill(MemorySegment at, String name) {
        long key = Seeds.key(5, name);
        boolean positive = name.endsWith("running_var");
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++) {
            float v = 2 * Seeds.uniform(key, i) - 1;
            at.setAtIndex(ValueLayout.JAVA_FLOAT, i, positive ? Math.abs(v) + 0.5f : v);
        }
    }

    /** Euclidean. */
    static double distance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++)
            sum += Math.pow((double) a[i] - b[i], 2);
        return Math.sqrt(sum);
    }

    static double length(float[] a) { return distance(a, new float[a.length]); }

    /** The largest number, and not less than what sums of numbers near 1 that cancel are uncertain by. */
    static float scale(float[] values) {
        float largest = 1e-2f;
        for (float v : values)
            largest = Math.max(largest, Math.abs(v));
        return largest;
    }
}
