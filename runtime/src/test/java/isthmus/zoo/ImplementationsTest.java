package isthmus.zoo;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** No network of the catalogue may run a convolution or product in oneDNN's reference code, or in our slow backstop. */
class ImplementationsTest {
    private static final List<String> OURS = List.of("depthwise", "conv_dense", "winograd", "pointwise", "stem");

    @ParameterizedTest
    @CsvSource({"convnet2,1,64,FP32", "convnet2,1,64,BF16", "resnet34,3,64,FP32", "resnet34,3,64,BF16",
            "xraynet,1,96,FP32", "xraynet,1,96,BF16", "densenet121,1,64,FP32", "densenet121,1,64,BF16",
            "efficientnet_b0,3,64,FP32", "efficientnet_b0,3,64,BF16"})
    void everyConvolutionAndProductIsFast(String name, int channels, int size, Precision precision) {
        Model model = Zoo.model(name, Shape.of(channels, size, size), 2, ModelOptions.DEFAULT);
        Trainer.Options options = Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.adam(1e-3),
                precision, 8);
        try (Backend backend = Backends.cpu(1); Trainer trainer = new Trainer(model, options, backend)) {
            List<String> heavy = trainer.program().listing().stream()
                    .filter(l -> l.startsWith("conv") || l.startsWith("linear")).toList();
            assertFalse(heavy.isEmpty());
            for (String line : heavy) {
                if (OURS.stream().anyMatch(own -> line.contains("  own " + own))) continue;
                assertTrue(line.contains("  onednn "), line);
                String implementation = line.substring(line.lastIndexOf("  onednn "));
                assertFalse(implementation.contains("ref") || implementation.contains("gemm:"), line);
            }
        }
    }
}
