package isthmus.backend;

/** The host's clock, for devices that have done their work when they are waited for. */
final class HostStopwatch implements Backend.Stopwatch {
    private final Backend backend;
    private long begin;
    private long end;

    HostStopwatch(Backend backend) { this.backend = backend; }

    @Override
    public void start() {
        backend.synchronize();
        begin = System.nanoTime();
    }

    @Override
    public void stop() {
        backend.synchronize();
        end = System.nanoTime();
    }

    @Override
    public double seconds() { return (end - begin) / 1e9; }
}
