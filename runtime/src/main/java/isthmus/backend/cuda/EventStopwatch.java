package isthmus.backend.cuda;

import isthmus.backend.Backend;
import java.lang.foreign.MemorySegment;

/** Two events on the device's stream. */
final class EventStopwatch implements Backend.Stopwatch {
    private final Device device;
    private final MemorySegment begin;
    private final MemorySegment end;

    EventStopwatch(Device device) {
        this.device = device;
        this.begin = device.streams.createEvent(true);
        this.end = device.streams.createEvent(true);
    }

    @Override
    public void start() { device.streams.record(begin, device.stream); }

    @Override
    public void stop() { device.streams.record(end, device.stream); }

    @Override
    public double seconds() {
        device.streams.awaitEvent(end);
        return device.streams.elapsed(begin, end) / 1e3;
    }

    @Override
    public void close() {
        device.streams.destroyEvent(end);
        device.streams.destroyEvent(begin);
    }
}
