package isthmus.backend.cuda;

/** Blocks of a launch and threads of a block. */
record Grid(int x, int y, int z, int threadsX, int threadsY) {
    /** Threads of every block, as our kernels are compiled for. */
    static final int THREADS = 256;
    private static final int MOST = 65_535;

    Grid(int x, int y, int z) { this(x, y, z, THREADS, 1); }

    /** For a kernel that loops over {@code n} places: enough blocks to fill the device, not more than there is work. */
    static Grid over(long n, Device device) {
        final int blocksEach = 16;
        long wanted = (n + THREADS - 1) / THREADS;
        return new Grid((int) Math.max(1, Math.min(wanted, (long) device.multiprocessors * blocksEach)), 1, 1);
    }

    /** For a kernel that loops over {@code n} places of each of so many samples. */
    static Grid overEach(long n, int samples, Device device) {
        return new Grid(over(n, device).x, Math.min(samples, MOST), 1);
    }

    /** For 32 columns a block. */
    static Grid columns(long c, long samples) {
        if (samples > MOST) throw new IllegalArgumentException(samples + " samples; a grid has at most " + MOST);
        final int columns = 32;
        return new Grid((int) ((c + columns - 1) / columns), (int) samples, 1);
    }
}
