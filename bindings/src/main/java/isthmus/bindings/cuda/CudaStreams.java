package isthmus.bindings.cuda;

import isthmus.bindings.Checked;
import isthmus.bindings.Downcalls;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The driver's streams, events, capture and graphs, one method a function. */
public final class CudaStreams {
    private final Checked checked;
    private final MethodHandle create;
    private final MethodHandle destroy;
    private final MethodHandle synchronize;
    private final MethodHandle waitEvent;
    private final MethodHandle eventCreate;
    private final MethodHandle eventDestroy;
    private final MethodHandle eventRecord;
    private final MethodHandle eventSynchronize;
    private final MethodHandle eventElapsed;
    private final MethodHandle beginCapture;
    private final MethodHandle endCapture;
    private final MethodHandle instantiate;
    private final MethodHandle graphLaunch;
    private final MethodHandle execDestroy;
    private final MethodHandle graphDestroy;

    CudaStreams(Downcalls table, Checked checked) {
        this.checked = checked;
        create = table.bind("cuStreamCreate", "ipi");
        destroy = table.bind("cuStreamDestroy_v2", "ip");
        synchronize = table.bind("cuStreamSynchronize", "ip");
        waitEvent = table.bind("cuStreamWaitEvent", "ippi");
        eventCreate = table.bind("cuEventCreate", "ipi");
        eventDestroy = table.bind("cuEventDestroy_v2", "ip");
        eventRecord = table.bind("cuEventRecord", "ipp");
        eventSynchronize = table.bind("cuEventSynchronize", "ip");
        // The name of newer drivers, cuEventElapsedTime_v2, is missing on those that we still serve.
        eventElapsed = table.bind("cuEventElapsedTime", "ippp");
        beginCapture = table.bind("cuStreamBeginCapture_v2", "ipi");
        endCapture = table.bind("cuStreamEndCapture", "ipp");
        instantiate = table.bind("cuGraphInstantiateWithFlags", "ippl");
        graphLaunch = table.bind("cuGraphLaunch", "ipp");
        execDestroy = table.bind("cuGraphExecDestroy", "ip");
        graphDestroy = table.bind("cuGraphDestroy", "ip");
    }

    /** A stream that does not wait for the default stream. */
    public MemorySegment create() {
        return checked.pointer("cuStreamCreate",
                (a, out) -> (int) create.invokeExact(out, CudaConstants.CU_STREAM_NON_BLOCKING));
    }

    /** Ends a stream. */
    public void destroy(MemorySegment stream) {
        checked.call("cuStreamDestroy", () -> (int) destroy.invokeExact(stream));
    }

    /** Waits until a stream has nothing left to do; failures of its work surface here. */
    public void synchronize(MemorySegment stream) {
        try {
            checked.check("cuStreamSynchronize", (int) synchronize.invokeExact(stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cuStreamSynchronize", t);
        }
    }

    /** Lets a stream wait for an event. */
    public void await(MemorySegment stream, MemorySegment event) {
        try {
            checked.check("cuStreamWaitEvent", (int) waitEvent.invokeExact(stream, event, 0));
        } catch (Throwable t) {
            throw Downcalls.failure("cuStreamWaitEvent", t);
        }
    }

    /** An event, with a clock if {@code timing}. */
    public MemorySegment createEvent(boolean timing) {
        int flags = timing ? CudaConstants.CU_EVENT_DEFAULT : CudaConstants.CU_EVENT_DISABLE_TIMING;
        return checked.pointer("cuEventCreate", (a, out) -> (int) eventCreate.invokeExact(out, flags));
    }

    /** Ends an event. */
    public void destroyEvent(MemorySegment event) {
        checked.call("cuEventDestroy", () -> (int) eventDestroy.invokeExact(event));
    }

    /** Marks where a stream is. */
    public void record(MemorySegment event, MemorySegment stream) {
        try {
            checked.check("cuEventRecord", (int) eventRecord.invokeExact(event, stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cuEventRecord", t);
        }
    }

    /** The host waits for an event. */
    public void awaitEvent(MemorySegment event) {
        try {
            checked.check("cuEventSynchronize", (int) eventSynchronize.invokeExact(event));
        } catch (Throwable t) {
            throw Downcalls.failure("cuEventSynchronize", t);
        }
    }

    /** Milliseconds between two events that have passed. */
    public float elapsed(MemorySegment from, MemorySegment to) {
        long bits = checked.longValue("cuEventElapsedTime",
                (a, out) -> (int) eventElapsed.invokeExact(out, from, to));
        return Float.intBitsToFloat((int) bits);
    }

    /** From now on the stream's work is noted, not done. */
    public void beginCapture(MemorySegment stream) {
        checked.call("cuStreamBeginCapture",
                () -> (int) beginCapture.invokeExact(stream, CudaConstants.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    }

    /** The work noted since {@link #beginCapture}, as a graph. */
    public MemorySegment endCapture(MemorySegment stream) {
        return checked.pointer("cuStreamEndCapture", (a, out) -> (int) endCapture.invokeExact(stream, out));
    }

    /** Makes a graph ready to be launched. */
    public MemorySegment instantiate(MemorySegment graph) {
        return checked.pointer("cuGraphInstantiate", (a, out) -> (int) instantiate.invokeExact(out, graph, 0L));
    }

    /** Does all the work of a graph, in the stream's order. */
    public void launch(MemorySegment exec, MemorySegment stream) {
        try {
            checked.check("cuGraphLaunch", (int) graphLaunch.invokeExact(exec, stream));
        } catch (Throwable t) {
            throw Downcalls.failure("cuGraphLaunch", t);
        }
    }

    /** Ends a ready graph. */
    public void destroyExec(MemorySegment exec) {
        checked.call("cuGraphExecDestroy", () -> (int) execDestroy.invokeExact(exec));
    }

    /** Ends a graph. */
    public void destroyGraph(MemorySegment graph) {
        checked.call("cuGraphDestroy", () -> (int) graphDestroy.invokeExact(graph));
    }
}
