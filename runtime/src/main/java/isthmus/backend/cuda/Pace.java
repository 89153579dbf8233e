package isthmus.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Keeps the host at most one step ahead of the device. */
final class Pace {
    private final Device device;
    private final MemorySegment[] done = new MemorySegment[2];
    private int last;

    Pace(Device device, Arena arena) {
        this.device = device;
        for (int i = 0; i < done.length; i++)
            done[i] = device.event(arena);
    }

    /** Marks the end of a step and waits for that of the one before; an event that was never recorded is no wait. */
    void step() {
        last = 1 - last;
        device.streams.record(done[last], device.stream);
        device.streams.awaitEvent(done[1 - last]);
    }
}
