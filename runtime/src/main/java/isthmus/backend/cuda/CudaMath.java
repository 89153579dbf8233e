package isthmus.backend.cuda;

import isthmus.backend.WeightMath;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The arithmetic of weights by our own kernels. Arguments are written to one block of memory: a launch copies them. */
final class CudaMath implements WeightMath {
    private static final int MOST_ARGUMENTS = 8;
    private static final Grid ONE = new Grid(1, 1, 1);

    private final Device device;
    private final Twins twins;
    private final MemorySegment pointers;
    private final MemorySegment values;
    private final long parts;
    private int count;

    CudaMath(Device device, Twins twins, Arena arena) {
        this.device = device;
        this.twins = twins;
        this.values = arena.allocate(ValueLayout.JAVA_LONG, MOST_ARGUMENTS);
        this.pointers = arena.allocate(ValueLayout.ADDRESS, MOST_ARGUMENTS);
        for (int i = 0; i < MOST_ARGUMENTS; i++)
            pointers.setAtIndex(ValueLayout.ADDRESS, i, values.asSlice((long) i * Long.BYTES));
        this.parts = device.allocate((long) squaresGrid(Long.MAX_VALUE / 2).x() * Double.BYTES, arena);
    }

    private Grid squaresGrid(long n) { return Grid.over(n, device); }

    private CudaMath start() {
        count = 0;
        return this;
    }

    private CudaMath pointer(MemorySegment shared) { return number(twins.address(shared)); }

    private CudaMath number(long value) {
        values.setAtIndex(ValueLayout.JAVA_LONG, count++, value);
        return this;
    }

    private CudaMath number(float value) { return number(Float.floatToRawIntBits(value) & 0xFFFFFFFFL); }

    private void launch(String kernel, Grid grid) {
        device.driver.launch(device.kernels.function(kernel, ""), grid.x(), grid.y(), grid.z(), grid.threadsX(),
                grid.threadsY(), 0, device.stream, pointers);
    }

    /** Both sides alike before kernels work on it. */
    private void toDevice(MemorySegment... shared) {
        for (MemorySegment s : shared)
            if (s.byteSize() != 0) twins.toDevice(s);
    }

    @Override
    public void sgd(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, long n) {
        twins.upload(options);
        toDevice(p, g, m);
        start().pointer(options).pointer(p).pointer(g).pointer(m).number(n).launch("sgd", Grid.over(n, device));
        twins.changed(p);
    }

    @Override
    public void adam(MemorySegment options, MemorySegment p, MemorySegment g, MemorySegment m, MemorySegment v,
            MemorySegment vmax, long n) {
        twins.upload(options);
        toDevice(p, g, m, v, vmax);
        start().pointer(options).pointer(p).pointer(g).pointer(m).pointer(v).pointer(vmax).number(n).launch("adam",
                Grid.over(n, device));
        twins.changed(p);
    }

    @Override
    public void proximal(MemorySegment g, MemorySegment p, MemorySegment p0, float mu, long n) {
        toDevice(g, p, p0);
        start().pointer(g).pointer(p).pointer(p0).number(mu).number(n).launch("proximal", Grid.over(n, device));
    }

    @Override
    public void gradientNorm(MemorySegment g, long n, MemorySegment sum, MemorySegment nonFinite) {
        Grid grid = squaresGrid(n);
        toDevice(g, sum, nonFinite);
        start().pointer(g).number(n).number(parts).launch("squares", grid);
        start().number(parts).number((long) grid.x()).pointer(sum).pointer(nonFinite).launch("add_parts", ONE);
    }

    @Override
    public void copy(MemorySegment x, MemorySegment y, long n) {
        if (n == 0) return;
        toDevice(x, y);
        device.driver.copyOnDevice(twins.address(y), twins.address(x), n * Float.BYTES, device.stream);
        twins.changed(y);
    }

    @Override
    public void axpy(float factor, MemorySegment x, MemorySegment y, long n) {
        toDevice(x, y);
        start().number(factor).pointer(x).pointer(y).number(n).launch("axpy", Grid.over(n, device));
        twins.changed(y);
    }

    @Override
    public void average(MemorySegment y, MemorySegment x, float share, long n) {
        toDevice(x, y);
        start().pointer(y).pointer(x).number(share).number(n).launch("average", Grid.over(n, device));
        twins.changed(y);
    }
}
