package isthmus.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.op.Linear;
import isthmus.op.Relu;
import isthmus.op.Value;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** A linear layer's bias and its gradient ride on the matrix products; that the numbers are right is the contract's test. */
class LinearEpiloguesTest {
    @BeforeEach
    void isBuilt() {
        Optional<String> problem = Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst()
                .flatMap(BackendProvider::problem);
        problem.ifPresent(p -> System.out.println("LinearEpiloguesTest: not run: " + p));
        Assumptions.assumeTrue(problem.isEmpty(), "the emulation is not built");
    }

    /** Logits are float32, so their gradient is rounded for the product, and the bias' is summed before. */
    @ParameterizedTest
    @CsvSource({"FP32,false,true", "F16,false,true", "BF16,false,true", "FP32,true,true", "F16,true,false"})
    void biasAndItsGradientAreEpilogues(Precision precision, boolean logits, boolean together) {
        OpCase c = new OpCase("linear").arg("x", OpCase.Use.ACTIVATION, 5, 33).arg("w", OpCase.Use.WEIGHT, 7, 33)
                .arg("b", OpCase.Use.WEIGHT, 7).op(new Linear(true, logits));
        try (Backend backend = Backends.open("cuda-emulated", 1); OpRun run = new OpRun(c, backend, precision)) {
            run.run();
            assertEquals(List.of("cublasLt with bias", together ? "cublasLt with bias gradient" : "cublasLt",
                    "cublasLt"), run.kernels("linear"));
        }
    }

    @ParameterizedTest
    @EnumSource(Precision.class)
    void reluIsAnEpilogue(Precision precision) {
        OpCase c = new OpCase("linear").arg("x", OpCase.Use.ACTIVATION, 5, 33).arg("w", OpCase.Use.WEIGHT, 7, 33)
                .arg("b", OpCase.Use.WEIGHT, 7).build((g, in) -> g.apply("relu", new Relu(), g.apply("linear",
                        new Linear(true, false), in.values().toArray(Value[]::new)).getFirst()).getFirst());
        try (Backend backend = Backends.open("cuda-emulated", 1); OpRun run = new OpRun(c, backend, precision)) {
            run.run();
            assertEquals("cublasLt with bias and ReLU", run.kernels("linear_relu").getFirst());
            assertEquals(List.of("own relu_backward"), run.kernels("relu"));
        }
    }
}
