package isthmus.bench.gpu;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.nn.Seeds;
import isthmus.op.Conv;
import isthmus.op.Kind;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.report.JsonFile;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Convolutions of volumes in half precision against float32 on the same device, and a small one in float32 against plain
 * Java: some versions of cuDNN compute them wrong and say nothing (PyTorch issue 163539). All inputs are multiples of 1/64,
 * which every type holds exactly, so that only rounding of sums and results is left.
 */
final class Conv3dPart {
    /** One line of results: relative L2 distance of a result. */
    record Distance(String convolution, String result, String type, double distance, double most, boolean good) {}

    /** What is convolved; inputs are {@code [n,in,...size]}. */
    private record Problem(String name, int n, int in, int out, List<Integer> size, Window window) {
        static Problem of(String name, int n, int in, int out, int edge, int kernel, int stride) {
            return new Problem(name, n, in, out, List.of(edge, edge, edge), Window.of(3, kernel, stride, kernel / 2));
        }
    }

    private static final List<String> RESULTS = List.of("y", "dx", "dw");
    private static final double MOST_F32 = 1e-5;

    private Conv3dPart() {}

    /** Arguments: device, and {@code tiny} for problems that an emulation can do. */
    public static void main(String[] args) {
        boolean tiny = args.length > 1 && args[1].equals("tiny");
        boolean good = true;
        try (Backend backend = Backends.open(args[0], 1); Backend plain = new ReferenceBackend()) {
            backend.enter();
            good &= compare(Problem.of("3^3, 4 to 6 channels, 6^3", 2, 4, 6, 6, 3, 1), backend, Precision.FP32, plain,
                    MOST_F32);
            for (Problem p : tiny ? small() : usual()) {
                good &= compare(p, backend, Precision.F16, backend, 2e-3);
                good &= compare(p, backend, Precision.BF16, backend, 8e-3);
            }
        }
        System.exit(good ? 0 : 1);
    }

    private static List<Problem> small() {
        return List.of(Problem.of("3^3, 8 channels, 6^3", 1, 8, 8, 6, 3, 1),
                Problem.of("3^3 stride 2, 8 to 16 channels, 6^3", 1, 8, 16, 6, 3, 2));
    }

    /** SegResNet's and RetinaNet's. */
    private static List<Problem> usual() {
        return List.of(Problem.of("3^3, 32 channels, 96^3", 2, 32, 32, 96, 3, 1),
                Problem.of("3^3 stride 2, 32 to 64 channels, 96^3", 2, 32, 64, 96, 3, 2),
                Problem.of("3^3, 128 channels, 24^3", 2, 128, 128, 24, 3, 1),
                Problem.of("3^3, 256 channels, 12^3", 2, 256, 256, 12, 3, 1),
                Problem.of("1^3, 64 to 32 channels, 48^3", 2, 64, 32, 48, 1, 1),
                new Problem("7^3 stride (2,2,1), 1 to 64 channels, 192x192x80", 1, 1, 64, List.of(192, 192, 80),
                        new Window(List.of(7, 7, 7), List.of(2, 2, 1), List.of(3, 3, 3), List.of(1, 1, 1))));
    }

    private static boolean compare(Problem p, Backend backend, Precision precision, Backend against, double most) {
        boolean good = true;
        try (Arena arena = Arena.ofConfined()) {
            Map<String, float[]> expected = results(p, against, Precision.FP32, arena);
            Map<String, float[]> got = results(p, backend, precision, arena);
            for (String name : RESULTS) {
                double d = distance(got.get(name), expected.get(name));
                boolean fits = d <= most;
                good &= fits;
                System.out.println(JsonFile.line(new Distance(p.name, name, precision.name().toLowerCase(
                        java.util.Locale.ROOT), d, most, fits)));
            }
        } catch (RuntimeException e) {
            System.err.println(p.name + " in " + precision + ": " + e.getMessage());
            return false;
        }
        return good;
    }

    private static Map<String, float[]> results(Problem p, Backend backend, Precision precision, Arena arena) {
        Graph graph = graph(p);
        WeightBuffer weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
        backend.toHost(weights.segment());
        fill(weights.segment(), DType.F32, "w");
        try (Program program = Program.compile(graph, backend, precision, weights, null)) {
            for (String input : List.of("x", "dy"))
                fill(program.input(input), precision.compute(), input);
            program.run();
            Map<String, float[]> all = new LinkedHashMap<>();
            for (String name : RESULTS)
                all.put(name, floats(program.output(name), name.equals("dw") ? DType.F32 : precision.compute()));
            return all;
        }
    }

    private static Graph graph(Problem p) {
        var graph = new Graph();
        int[] dims = {p.n, p.in, p.size.get(0), p.size.get(1), p.size.get(2)};
        List<Integer> k = p.window.kernel();
        Shape weight = Shape.of(p.out, p.in, k.get(0), k.get(1), k.get(2));
        Value x = graph.input("x", new Spec(Shape.of(dims), Kind.ACTIVATION));
        Value w = graph.parameter("w", weight, Region.FROZEN);
        Value y = graph.apply("conv", new Conv(p.window, 1, false), x, w).getFirst();
        Value dy = graph.input("dy", y.spec());
        graph.output("y", y);
        graph.output("dx", graph.apply("conv", new Conv.BackwardData(p.window, 1, x.shape()), dy, w).getFirst());
        graph.output("dw",
                graph.apply("conv", new Conv.BackwardWeights(p.window, 1, false, weight), x, dy).getFirst());
        return graph;
    }

    /** Multiples of 1/64 between -1 and 1. */
    private static void fill(MemorySegment at, DType type, String name) {
        long key = Seeds.key(7, name);
        for (long i = 0; i < at.byteSize() / type.bytes(); i++) {
            float v = Math.round(128 * Seeds.uniform(key, i) - 64) / 64f;
            switch (type) {
                case F32 -> at.setAtIndex(ValueLayout.JAVA_FLOAT, i, v);
                case F16 -> at.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(v));
                case BF16 -> at.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(v) >>> 16));
                default -> throw new IllegalArgumentException("no " + type + " is convolved");
            }
        }
    }

    private static float[] floats(MemorySegment at, DType type) {
        float[] all = new float[Math.toIntExact(at.byteSize() / type.bytes())];
        for (int i = 0; i < all.length; i++)
            all[i] = switch (type) {
                case F16 -> Float.float16ToFloat(at.getAtIndex(ValueLayout.JAVA_SHORT, i));
                case BF16 -> Float.intBitsToFloat(at.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16);
                default -> at.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            };
        return all;
    }

    private static double distance(float[] got, float[] expected) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < got.length; i++) {
            difference += Math.pow((double) got[i] - expected[i], 2);
            norm += Math.pow(expected[i], 2);
        }
        return Math.sqrt(difference / norm);
    }
}
