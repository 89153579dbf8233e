package isthmus.agent;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.onnx.OnnxExporter;
import isthmus.onnx.OnnxFacts;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Evaluator;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whole networks, exported and run by ONNX Runtime in batches of one and two, against the engine that trains them. */
class NetworkOnnxTest {
    private static final int CLASSES = 3;
    private static final double MOST = 1e-4;

    @TempDir
    Path folder;

    @ParameterizedTest
    @CsvSource({"segresnet,1x32x16x24", "retinanet3d,1x32x48x16", "densenet121,1x64x96", "efficientnet_b0,3x64x96"})
    void onnxRuntimeAgrees(String name, String image) throws IOException, OrtException {
        int[] axes = Arrays.stream(image.split("x")).mapToInt(Integer::parseInt).toArray();
        Model model = Zoo.model(name, Shape.of(axes), CLASSES, ModelOptions.DEFAULT);
        boolean boxes = name.equals("retinanet3d");
        OnnxFacts facts = new OnnxFacts(boxes ? OnnxFacts.Decision.BOXES : OnnxFacts.Decision.SOFTMAX,
                IntStream.range(0, CLASSES).mapToObj(i -> "class " + i).toList(), "{}", Map.of(), "isthmus", "test");
        Path file = folder.resolve(name + ".onnx");
        try (Arena arena = Arena.ofShared(); Backend backend = Backends.cpu(2)) {
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            model.initialize(weights, 5);
            OnnxExporter.write(file, model, weights, facts);
            try (OrtSession session = Inference.open(file, 2, false).session()) {
                assertEquals(boxes ? Set.of("logits") : Set.of("logits", "probabilities"), session.getOutputNames());
                for (int batch : List.of(1, 2)) {
                    int[] dims = IntStream.concat(IntStream.of(batch), IntStream.of(axes)).toArray();
                    float[] pictures = pictures(Shape.of(dims));
                    float[] expected = engine(model, weights, backend, Shape.of(dims), pictures);
                    assertClose(expected, onnx(session, dims, pictures));
                }
            }
        }
    }

    private static float[] pictures(Shape shape) {
        float[] image = new float[(int) shape.elements()];
        for (int i = 0; i < image.length; i++)
            image[i] = (float) Math.sin(i * 0.37 + i % 7) + (i % 11 == 0 ? 1 : 0);
        return image;
    }

    private static float[] engine(Model model, WeightBuffer weights, Backend backend, Shape image, float[] values) {
        try (Evaluator evaluator = new Evaluator(model, weights, image.dim(0), Precision.FP32, backend)) {
            backend.enter();
            ChannelsLast.pack(values, image, DType.F32, evaluator.images());
            evaluator.run();
            int[] logits = new int[model.output().rank() + 1];
            System.arraycopy(model.output().dims(), 0, logits, 1, logits.length - 1);
            logits[0] = image.dim(0);
            return ChannelsLast.unpack(evaluator.logits(), Shape.of(logits), DType.F32);
        }
    }

    private static float[] onnx(OrtSession session, int[] dims, float[] image) throws OrtException {
        long[] shape = IntStream.of(dims).asLongStream().toArray();
        try (OnnxTensor in = OnnxTensor.createTensor(ai.onnxruntime.OrtEnvironment.getEnvironment(),
                FloatBuffer.wrap(image), shape);
                OrtSession.Result out = session.run(Map.of(Model.IMAGE, in))) {
            OnnxTensor logits = (OnnxTensor) out.get(Model.LOGITS).orElseThrow();
            assertArrayEquals(new long[]{shape[0]}, java.util.Arrays.copyOf(logits.getInfo().getShape(), 1));
            FloatBuffer values = logits.getFloatBuffer();
            float[] all = new float[values.remaining()];
            values.get(all);
            return all;
        }
    }

    private static void assertClose(float[] expected, float[] got) {
        assertEquals(expected.length, got.length);
        double worst = 0;
        double largest = 0;
        for (int i = 0; i < got.length; i++) {
            double off = Math.abs((double) got[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
            worst = Double.isNaN(off) ? Double.POSITIVE_INFINITY : Math.max(worst, off);
            largest = Math.max(largest, Math.abs(expected[i]));
        }
        assertTrue(largest > 1e-2, "logits of at most " + largest + " prove nothing");
        assertTrue(worst <= MOST, "off by " + worst);
    }
}
