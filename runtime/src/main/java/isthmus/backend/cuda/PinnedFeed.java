package isthmus.backend.cuda;

import isthmus.backend.Feed;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Batches by a second stream: two pinned buffers for the host to write in turn, one buffer on the device. Copies to the
 * device run beside the step before; where the step begins, it takes the batch over within the device's memory, and the
 * next copy may come.
 */
final class PinnedFeed implements Feed {
    private final Device device;
    private final Twins twins;
    private final MemorySegment stream;
    private final MemorySegment[][] slots;
    /** The device has all of a slot's batch. */
    private final MemorySegment[] copied;
    private final long[] staging;
    /** The step has taken the batch from the device's buffer. */
    private final MemorySegment taken;
    private final boolean[] onTheWay;
    private int writing;
    private int arriving;

    PinnedFeed(Device device, Twins twins, long[] bytes, Arena arena) {
        final int buffers = 2;
        this.device = device;
        this.twins = twins;
        this.stream = device.stream(arena);
        this.slots = new MemorySegment[buffers][bytes.length];
        this.copied = new MemorySegment[buffers];
        this.onTheWay = new boolean[buffers];
        this.staging = new long[bytes.length];
        this.taken = device.event(arena);
        for (int b = 0; b < buffers; b++) {
            copied[b] = device.event(arena);
            for (int i = 0; i < bytes.length; i++)
                slots[b][i] = device.allocHost(bytes[i], arena).fill((byte) 0);
        }
        for (int i = 0; i < bytes.length; i++)
            staging[i] = device.allocate(bytes[i], arena);
        // The staging memory is cleared on the other stream.
        device.synchronize();
    }

    @Override
    public MemorySegment slot(int i) {
        device.streams.awaitEvent(copied[writing]);
        return slots[writing][i];
    }

    @Override
    public void send() {
        if (onTheWay[writing]) throw new IllegalStateException("feed: a batch was sent before the second last arrived");
        device.streams.await(stream, taken);
        for (int i = 0; i < staging.length; i++)
            device.driver.copyToDevice(staging[i], slots[writing][i], slots[writing][i].byteSize(), stream);
        device.streams.record(copied[writing], stream);
        onTheWay[writing] = true;
        writing = 1 - writing;
    }

    @Override
    public void arrive(List<MemorySegment> inputs) {
        if (!onTheWay[arriving]) throw new IllegalStateException("feed: no batch is on its way");
        device.streams.await(device.stream, copied[arriving]);
        for (int i = 0; i < staging.length; i++)
            device.driver.copyOnDevice(twins.address(inputs.get(i)), staging[i],
                    Math.min(inputs.get(i).byteSize(), slots[0][i].byteSize()), device.stream);
        device.streams.record(taken, device.stream);
        onTheWay[arriving] = false;
        arriving = 1 - arriving;
    }
}
