package isthmus.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.UnsafeByteOperations;
import isthmus.graph.Graph;
import isthmus.nn.Model;
import isthmus.op.Kind;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/**
 * Writes evaluation graphs as ONNX files. Input {@code image}: float32 {@code [batch,C,...]}, preprocessed. Outputs
 * {@code logits} and {@code probabilities}: float32 {@code [batch,classes]}, or {@code [batch,classes,...]} at every
 * position; of a detector only {@code logits}, its joined maps. Equal models give equal bytes. Format:
 * https://github.com/onnx/onnx/blob/main/docs/IR.md.
 */
public final class OnnxExporter {
    /** Version of the operator set, https://github.com/onnx/onnx/blob/main/docs/Operators.md. */
    public static final int OPSET = 17;

    /** Version of the file format. */
    public static final int IR_VERSION = 8;

    /** Name of the output with the probabilities. */
    public static final String PROBABILITIES = "probabilities";

    /** Name of the free first axis. */
    public static final String BATCH = "batch";

    /** What weights may take, so that the rest fits under protobuf's 2 GiB as well. */
    static final long MAX_WEIGHT_BYTES = (2L << 30) - (64 << 20);

    private final Graph graph;
    private final WeightBuffer weights;
    private final OnnxFacts facts;
    private final DType precision;
    private final HalfWeights room;
    private final OnnxNodes nodes = new OnnxNodes();

    private OnnxExporter(Graph graph, WeightBuffer weights, OnnxFacts facts, DType precision, HalfWeights room) {
        this.graph = graph;
        this.weights = weights;
        this.facts = facts;
        this.precision = precision;
        this.room = room;
    }

    /** Writes a model with its weights in float32; the file is there whole or not at all. */
    public static void write(Path file, Model model, WeightBuffer weights, OnnxFacts facts) throws IOException {
        write(file, model, weights, facts, DType.F32);
    }

    /**
     * Writes a model with its weights; the file is there whole or not at all.
     *
     * @param precision F32, or F16 for weights and computing in half precision where that is safe; inputs and outputs are
     *     float32 in both
     */
    public static void write(Path file, Model model, WeightBuffer weights, OnnxFacts facts, DType precision)
            throws IOException {
        write(file, model.name(), model.graph(1, false), weights, facts, precision);
    }

    /**
     * Writes an evaluation graph with its weights in float32; the file is there whole or not at all.
     *
     * @param graph its first axis is the batch everywhere; it has an output {@code logits} {@code [N,classes]}
     */
    public static void write(Path file, String name, Graph graph, WeightBuffer weights, OnnxFacts facts)
            throws IOException {
        write(file, name, graph, weights, facts, DType.F32);
    }

    /** As {@link #write(Path, String, Graph, WeightBuffer, OnnxFacts)}, in F32 or F16. */
    public static void write(Path file, String name, Graph graph, WeightBuffer weights, OnnxFacts facts,
            DType precision) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            write(file, new OnnxExporter(graph, weights, facts, precision, new HalfWeights(arena)).model(name));
        }
    }

    private static void write(Path file, ModelProto model) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        Files.createDirectories(folder);
        Path temporary = Files.createTempFile(folder, file.getFileName().toString(), ".part");
        try {
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                OutputStream out = new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 20);
                model.writeTo(out);
                out.flush();
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private ModelProto model(String name) {
        check();
        GraphProto whole = graph(name);
        if (precision == DType.F16) whole = new HalfGraph(new BatchNormFold(whole, room).build(), room).build();
        ModelProto.Builder model = ModelProto.newBuilder().setIrVersion(IR_VERSION).setProducerName(facts.producer())
                .setProducerVersion(facts.version())
                .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(OPSET)).setGraph(whole);
        facts.metadata(OPSET).forEach((key, value) -> model
                .addMetadataProps(StringStringEntryProto.newBuilder().setKey(key).setValue(value)));
        return model.build();
    }

    private void check() {
        Value logits = graph.outputs().get(Model.LOGITS);
        if (logits == null || logits.shape().rank() < 2) {
            throw new OnnxException("onnx: the graph has no output " + Model.LOGITS + " of [N,classes,...]; it has "
                    + graph.outputs().values());
        }
        boolean boxes = facts.decision() == OnnxFacts.Decision.BOXES;
        if (!boxes && logits.shape().dim(1) != facts.labels().size()) {
            throw new OnnxException("onnx: the model has " + logits.shape().dim(1) + " outputs, but there are "
                    + facts.labels().size() + " labels " + facts.labels() + "; name every output once");
        }
        String expected = graph.table().digest();
        if (!weights.table().digest().equals(expected)) {
            throw new OnnxException("onnx: the weights are another model's: "
                    + graph.table().differences(weights.table(), 3));
        }
        if (precision != DType.F32 && precision != DType.F16)
            throw new OnnxException("onnx: precision " + precision + " is not written; choose F32 or F16");
        long bytes = weights.table().elements() * precision.bytes();
        if (bytes > MAX_WEIGHT_BYTES) {
            throw new OnnxException("onnx: the weights take " + bytes + " bytes, more than the " + MAX_WEIGHT_BYTES
                    + " that fit into one ONNX file, which ends at 2 GiB"
                    + (bytes / 2 <= MAX_WEIGHT_BYTES && precision == DType.F32 ? "; export with precision fp16" : ""));
        }
        if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN)
            throw new OnnxException("onnx: raw weights are little-endian; export on a little-endian machine");
    }

    private GraphProto graph(String name) {
        GraphProto.Builder g = GraphProto.newBuilder().setName(name);
        graph.inputs().forEach((input, v) -> {
            nodes.reserve(input);
            nodes.name(v, input);
            g.addInput(info(input, v));
        });
        graph.parameters().forEach((parameter, v) -> {
            nodes.reserve(parameter);
            nodes.name(v, parameter);
        });
        graph.nodes().forEach(nodes::add);
        graph.outputs().forEach((output, v) -> {
            nodes.output(output, v);
            g.addOutput(info(output, v));
        });
        switch (facts.decision()) {
            case SIGMOID -> nodes.derive(PROBABILITIES, "Sigmoid", Map.of(), Model.LOGITS);
            case SOFTMAX -> nodes.derive(PROBABILITIES, "Softmax", Map.of("axis", 1L), Model.LOGITS);
            case BOXES -> {
                // The logits are all there is.
            }
        }
        if (facts.decision() != OnnxFacts.Decision.BOXES)
            g.addOutput(info(PROBABILITIES, graph.outputs().get(Model.LOGITS)));
        for (WeightTable.Entry e : weights.table().entries())
            if (nodes.isUsed(e.name())) g.addInitializer(initializer(e));
        return g.addAllNode(nodes.build()).build();
    }

    /** The weight's own bytes, not a copy. */
    private TensorProto initializer(WeightTable.Entry e) {
        TensorProto.Builder t = TensorProto.newBuilder().setName(e.name())
                .setDataType(TensorProto.DataType.FLOAT_VALUE)
                .setRawData(UnsafeByteOperations.unsafeWrap(weights.slice(e).asByteBuffer()));
        for (int d : e.shape().dims())
            t.addDims(d);
        return t.build();
    }

    private static ValueInfoProto info(String name, Value v) {
        Shape shape = v.shape();
        if (v.spec().kind() == Kind.LABEL || v.spec().kind() == Kind.BYTE || shape.rank() == 0) {
            throw new OnnxException(
                    "onnx: " + name + " is " + v + "; inputs and outputs are float32 with a batch axis");
        }
        TensorShapeProto.Builder dims = TensorShapeProto.newBuilder()
                .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam(BATCH));
        for (int i = 1; i < shape.rank(); i++)
            dims.addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(shape.dim(i)));
        TypeProto.Tensor tensor = TypeProto.Tensor.newBuilder().setElemType(TensorProto.DataType.FLOAT_VALUE)
                .setShape(dims).build();
        return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(tensor)).build();
    }
}
