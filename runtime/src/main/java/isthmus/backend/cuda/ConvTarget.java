package isthmus.backend.cuda;

import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_DEVICEPROP_HANDLE;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_BACKEND_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_TYPE_HANDLE;

import isthmus.bindings.cudnn.Cudnn;
import java.lang.foreign.MemorySegment;

/**
 * What convolutions are planned for: the GPU of a handle, or one that is not here and is described by cuDNN's own text of
 * it. Plans for the latter can be made and asked about, not run.
 */
record ConvTarget(Cudnn cudnn, MemorySegment handle, MemorySegment description) implements AutoCloseable {
    /** The oldest cuDNN that describes devices. */
    private static final long DESCRIBES = 90_800;

    /** The GPU of a handle, which stays the caller's. */
    static ConvTarget of(Cudnn cudnn, MemorySegment handle) {
        return new ConvTarget(cudnn, handle, MemorySegment.NULL);
    }

    /** The GPU that a text of {@link #text} describes. */
    static ConvTarget described(Cudnn cudnn, String text) {
        MemorySegment d = descriptor(cudnn);
        try {
            cudnn.setText(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, text);
            cudnn.finish(d);
        } catch (RuntimeException e) {
            cudnn.destroyDescriptor(d);
            throw e;
        }
        return new ConvTarget(cudnn, MemorySegment.NULL, d);
    }

    /** cuDNN's text about the GPU of a handle. */
    static String text(Cudnn cudnn, MemorySegment handle) {
        MemorySegment d = descriptor(cudnn);
        try {
            cudnn.setPointers(d, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, handle);
            cudnn.finish(d);
            return cudnn.getText(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
        } finally {
            cudnn.destroyDescriptor(d);
        }
    }

    private static MemorySegment descriptor(Cudnn cudnn) {
        if (cudnn.version() < DESCRIBES)
            throw new IllegalStateException(
                    "cuDNN " + cudnn.version() + " describes no devices; install cuDNN 9.8 or newer");
        return cudnn.createDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    }

    /** Tells a descriptor the handle, if there is one. */
    void setHandle(MemorySegment of, int attribute) {
        if (handle.address() != 0) cudnn.setPointers(of, attribute, CUDNN_TYPE_HANDLE, handle);
    }

    /** Tells a descriptor the description, if there is one. */
    void setDescription(MemorySegment of, int attribute) {
        if (description.address() != 0)
            cudnn.setPointers(of, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, description);
    }

    @Override
    public void close() { if (description.address() != 0) cudnn.destroyDescriptor(description); }
}
