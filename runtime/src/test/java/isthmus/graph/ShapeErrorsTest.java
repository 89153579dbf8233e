package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import isthmus.op.Add;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.Linear;
import isthmus.op.Op;
import isthmus.op.Scale;
import isthmus.op.ShapeException;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A graph with shapes that do not fit names the layer and both shapes. */
class ShapeErrorsTest {
    private static final Conv CONV = new Conv(Window.of(2, 3, 1, 1), 1, false);

    static Stream<Arguments> misfits() {
        return Stream.of(
                Arguments.of(new Add(), "2x3x4x5 2x3x5x4", "add: shapes differ: 2x3x4x5 and 2x3x5x4"),
                Arguments.of(new Concat(), "2x3x4x5 2x7x5x4",
                        "concat: 2x3x4x5 and 2x7x5x4 differ in more than channels"),
                Arguments.of(new Concat(), "2x3x4x5 2x3x4", "concat: 2x3x4x5 and 2x3x4 differ in more than channels"),
                Arguments.of(new Scale(), "2x3x4x5 2x5x1x1",
                        "scale: the input 2x3x4x5 takes factors 2x3x1x1, not 2x5x1x1"),
                Arguments.of(new Linear(false, false), "2x12 7x11",
                        "linear: the input 2x12 does not fit the weight 7x11"),
                Arguments.of(CONV, "2x3x4x5 8x4x3x3",
                        "conv: the input 2x3x4x5 and the weight 8x4x3x3 do not fit with 1 groups"),
                Arguments.of(CONV, "2x3 8x3x3x3",
                        "conv: the input 2x3 and the weight 8x3x3x3 do not both have 4 axes"),
                Arguments.of(CONV, "2x3x4x5 8x3x5x5",
                        "conv: the weight 8x3x5x5 is no [3, 3] kernel, which the input 2x3x4x5 is to meet"));
    }

    @ParameterizedTest
    @MethodSource("misfits")
    void namesTheLayerAndBothShapes(Op op, String shapes, String message) {
        Graph graph = new Graph();
        String[] each = shapes.split(" ", -1);
        Value[] in = IntStream.range(0, each.length)
                .mapToObj(i -> graph.parameter("p" + i, shape(each[i]), Region.TRAINABLE))
                .toArray(Value[]::new);
        var e = assertThrows(ShapeException.class, () -> graph.apply("layer2.0.conv1", op, in));
        assertEquals("layer2.0.conv1: " + message, e.getMessage());
        assertEquals(0, graph.nodes().size());
    }

    private static Shape shape(String text) {
        return Shape.of(Arrays.stream(text.split("x")).mapToInt(Integer::parseInt).toArray());
    }
}
