package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import java.lang.foreign.Arena;

/** A kernel that is one call of our C library. */
final class OwnKernel implements Kernel {
    /** Makes the call once the addresses are known; constant arguments in memory come from the arena. */
    interface Binder {
        Runnable bind(Addresses addresses, Arena constants);
    }

    private final String name;
    private final Binder binder;
    private Arena constants = Arena.ofShared();
    private Runnable call;

    OwnKernel(String name, Binder binder) {
        this.name = name;
        this.binder = binder;
    }

    @Override
    public String implementation() { return "own " + name; }

    @Override
    public void bind(Addresses addresses) {
        constants.close();
        constants = Arena.ofShared();
        call = binder.bind(addresses, constants);
    }

    @Override
    public void run() { call.run(); }

    @Override
    public void close() { constants.close(); }
}
