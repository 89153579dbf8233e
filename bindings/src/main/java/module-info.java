/** Native calls and native memory; the only module that links or reinterprets. Only the runtime may use it. */
@SuppressWarnings("module") // the runtime is compiled after this module, so it is unknown here
module isthmus.bindings {
    exports isthmus.bindings to isthmus.runtime;
    exports isthmus.bindings.onednn to isthmus.runtime;
    exports isthmus.bindings.kernels to isthmus.runtime;
    exports isthmus.bindings.cuda to isthmus.runtime;
    exports isthmus.bindings.nvrtc to isthmus.runtime;
    exports isthmus.bindings.cublas to isthmus.runtime;
    exports isthmus.bindings.cudnn to isthmus.runtime;
}
