package isthmus.weights;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.UnsafeByteOperations;
import com.google.protobuf.WireFormat;
import isthmus.tensor.DType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The initialisers of an ONNX file's graph. Walks the protobuf's fields itself and reads nothing else of it, so that weights
 * stay where they are and a hostile graph costs no memory. Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
 */
final class OnnxInitialisers {
    private static final int MAX_TENSORS = 200_000;

    private final MappedFile file;
    private final Arena arena;
    private final CodedInputStream in;
    private final List<StoredTensor> tensors = new ArrayList<>();
    private final Set<String> names = new HashSet<>();
    private int noWeights;

    private OnnxInitialisers(MappedFile file, Arena arena) {
        this.file = file;
        this.arena = arena;
        this.in = UnsafeByteOperations.unsafeWrap(file.bytes().asByteBuffer()).newCodedInput();
    }

    static Checkpoint read(MappedFile file, Arena arena) {
        if (file.size() > Integer.MAX_VALUE)
            throw file.wrong("has " + file.size() + " bytes; an ONNX file has less than 2 GiB");
        OnnxInitialisers onnx = new OnnxInitialisers(file, arena);
        try {
            onnx.model();
        } catch (IOException e) {
            throw new CheckpointException(
                    file.name() + ": is no whole ONNX file (" + e.getMessage() + "); fetch it again",
                    e);
        }
        if (onnx.tensors.isEmpty()) throw file.wrong("has no initialisers, so no weights");
        List<String> notes = onnx.noWeights == 0
                ? List.of()
                : List.of("left out " + onnx.noWeights + " initialisers that are no floating-point numbers");
        return new Checkpoint(file.name(), "ONNX", onnx.tensors, notes);
    }

    private void model() throws IOException {
        for (int tag = next(); tag != 0; tag = next()) {
            if (!message(tag, ModelProto.GRAPH_FIELD_NUMBER)) continue;
            int outside = in.pushLimit(in.readRawVarint32());
            graph();
            in.popLimit(outside);
        }
    }

    private void graph() throws IOException {
        for (int tag = next(); tag != 0; tag = next()) {
            if (!message(tag, GraphProto.INITIALIZER_FIELD_NUMBER)) continue;
            int outside = in.pushLimit(in.readRawVarint32());
            tensor();
            in.popLimit(outside);
        }
    }

    private int next() throws IOException { return in.isAtEnd() ? 0 : in.readTag(); }

    /** Whether a message of that field comes now; any other field is passed over. */
    private boolean message(int tag, int field) throws IOException {
        if (tag == (field << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED)) return true;
        skip(tag);
        return false;
    }

    /** ONNX has no groups, and only groups nest when they are passed over. */
    private void skip(int tag) throws IOException {
        int type = WireFormat.getTagWireType(tag);
        if (type == WireFormat.WIRETYPE_START_GROUP || type == WireFormat.WIRETYPE_END_GROUP)
            throw new IOException("a field of a kind that ONNX has not");
        in.skipField(tag);
    }

    private void tensor() throws IOException {
        OnnxTensor t = new OnnxTensor(file, in);
        for (int tag = next(); tag != 0; tag = next())
            if (!t.field(tag)) skip(tag);
        if (t.isExternal())
            throw file.wrong("keeps the values of " + t.name() + " in another file; in Python, make one file of both: "
                    + "onnx.save_model(onnx.load(FILE), OTHER, save_as_external_data=False)");
        DType type = t.type();
        if (type == null) {
            noWeights++;
            return;
        }
        if (!names.add(t.name())) throw file.wrong("has two initialisers '" + t.name() + "'");
        if (tensors.size() == MAX_TENSORS) throw file.wrong("has more than " + MAX_TENSORS + " initialisers");
        MemorySegment values = t.values(arena);
        try {
            tensors.add(StoredTensor.packed(t.name(), type, t.shape(), ByteOrder.LITTLE_ENDIAN, values));
        } catch (IllegalArgumentException | ArithmeticException e) {
            throw new CheckpointException(file.name() + ": " + e.getMessage() + "; fetch the file again", e);
        }
    }
}
