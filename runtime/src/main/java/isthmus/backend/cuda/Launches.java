package isthmus.backend.cuda;

import isthmus.op.Window;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** What a node does in a step, prepared once: kernel launches with fixed arguments, and other calls between them. */
final class Launches {
    private static final long SLOT = 8;

    private final Device device;
    private final Arena arena;
    private final List<Runnable> calls = new ArrayList<>();

    Launches(Device device, Arena arena) {
        this.device = device;
        this.arena = arena;
    }

    Arena arena() { return arena; }

    /**
     * Adds a launch. Arguments are Integer, Long, Float or Double as the kernel has them, MemorySegment for a pointer,
     * {@link Geometry} for a window, or {@link Channels}.
     */
    Launches add(String family, String suffix, Grid grid, Object... arguments) {
        MemorySegment function = device.kernels.function(family, suffix);
        MemorySegment pointers = arena.allocate(ValueLayout.ADDRESS, arguments.length);
        for (int i = 0; i < arguments.length; i++)
            pointers.setAtIndex(ValueLayout.ADDRESS, i, value(arguments[i]));
        calls.add(
                () -> device.driver.launch(function, grid.x(), grid.y(), grid.z(), grid.threadsX(), grid.threadsY(), 0,
                        device.stream, pointers));
        return this;
    }

    /** Adds another call. */
    Launches add(Runnable call) {
        calls.add(call);
        return this;
    }

    private MemorySegment value(Object argument) {
        long bytes = switch (argument) {
            case Geometry g -> g.bytes();
            case Channels c -> Channels.BYTES;
            default -> SLOT;
        };
        MemorySegment at = arena.allocate(bytes, SLOT);
        switch (argument) {
            case Integer i -> at.set(ValueLayout.JAVA_INT, 0, i);
            case Long l -> at.set(ValueLayout.JAVA_LONG, 0, l);
            case Float f -> at.set(ValueLayout.JAVA_FLOAT, 0, f);
            case Double d -> at.set(ValueLayout.JAVA_DOUBLE, 0, d);
            case MemorySegment s -> at.set(ValueLayout.JAVA_LONG, 0, s.address());
            case Geometry g -> g.write(at);
            case Channels c -> c.write(at);
            default -> throw new IllegalArgumentException("no kernel argument: " + argument.getClass());
        }
        return at;
    }

    Runnable[] calls() { return calls.toArray(Runnable[]::new); }

    /** What {@code warp.cu} does to channels, at most 4. */
    record Channels(List<Float> mean, List<Float> scale) {
        private static final int MOST = 4;
        static final long BYTES = 2L * MOST * Float.BYTES;

        void write(MemorySegment at) {
            for (int i = 0; i < mean.size(); i++) {
                at.setAtIndex(ValueLayout.JAVA_FLOAT, i, mean.get(i));
                at.setAtIndex(ValueLayout.JAVA_FLOAT, MOST + i, scale.get(i));
            }
        }
    }

    /** A window as {@code window.cuh} has it: three spatial axes, the leading ones of length 1 where there are fewer. */
    record Geometry(Window window, Shape x, Shape y, int groups) {
        private static final int NUMBERS = 22;

        long bytes() { return (long) NUMBERS * Integer.BYTES; }

        void write(MemorySegment at) {
            int[] all = new int[NUMBERS];
            all[0] = x.dim(0);
            all[1] = x.dim(1);
            all[2] = y.dim(1);
            all[3] = groups;
            int axes = x.rank() - 2;
            for (int a = 0; a < 3; a++) {
                int i = a - (3 - axes);
                boolean there = i >= 0;
                int[] numbers = there
                        ? new int[]{x.dim(2 + i), y.dim(2 + i), window.kernel().get(i), window.stride().get(i),
                                window.padding().get(i), window.dilation().get(i)}
                        : new int[]{1, 1, 1, 1, 0, 1};
                for (int k = 0; k < numbers.length; k++)
                    all[4 + 3 * k + a] = numbers[k];
            }
            MemorySegment.copy(all, 0, at, ValueLayout.JAVA_INT, 0, NUMBERS);
        }
    }
}
