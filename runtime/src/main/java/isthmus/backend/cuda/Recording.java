package isthmus.backend.cuda;

import isthmus.backend.Backend;
import java.lang.foreign.MemorySegment;

/** Calls that are made once to warm up, noted once as a CUDA graph, and replayed from then on. */
final class Recording implements Backend.Repeated {
    private final Device device;
    private final Runnable calls;
    private MemorySegment exec = MemorySegment.NULL;
    private boolean warm;

    Recording(Device device, Runnable calls) {
        this.device = device;
        this.calls = calls;
    }

    @Override
    public void run() {
        if (exec.address() != 0) {
            device.streams.launch(exec, device.stream);
            return;
        }
        if (warm) {
            record();
            device.streams.launch(exec, device.stream);
            return;
        }
        // Libraries load code and allocate on the first call, which a capture does not allow.
        calls.run();
        warm = true;
    }

    private void record() {
        device.streams.beginCapture(device.stream);
        MemorySegment graph;
        try {
            calls.run();
        } finally {
            graph = device.streams.endCapture(device.stream);
        }
        exec = device.streams.instantiate(graph);
        device.streams.destroyGraph(graph);
    }

    @Override
    public void close() {
        if (exec.address() != 0) device.release(() -> device.streams.destroyExec(exec));
        exec = MemorySegment.NULL;
    }
}
