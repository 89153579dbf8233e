/** Tensors, ops, graph, compiler, training and export. Native calls go through {@code isthmus.bindings}. */
module isthmus.runtime {
    requires tools.jackson.core;

    exports isthmus.tensor;
    exports isthmus.op;
    exports isthmus.backend;
    exports isthmus.graph;
    exports isthmus.nn;
    exports isthmus.zoo;
}
