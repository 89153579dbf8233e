/** Tensors, ops, graph, compiler, training and export. Native calls go through {@code isthmus.bindings}. */
module isthmus.runtime {
    requires isthmus.bindings;
    requires com.google.protobuf;
    requires org.tribuo.util.onnx;
    requires tools.jackson.core;

    exports isthmus.tensor;
    exports isthmus.op;
    exports isthmus.backend;
    exports isthmus.graph;
    exports isthmus.nn;
    exports isthmus.zoo;
    exports isthmus.train;
    exports isthmus.detect;
    exports isthmus.onnx;

    uses isthmus.backend.BackendProvider;

    provides isthmus.backend.BackendProvider with isthmus.backend.onednn.CpuProvider,
            isthmus.backend.cuda.CudaProvider, isthmus.backend.cuda.EmulatedCudaProvider;
}
