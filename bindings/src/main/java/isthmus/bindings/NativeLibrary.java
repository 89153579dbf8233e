package isthmus.bindings;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * One native library: opened, or absent with the reason. Libraries travel as resources, are unpacked once by
 * {@link NativeCache} and opened by full path. All of ours share one OpenMP runtime: the one that came with oneDNN.
 */
public final class NativeLibrary {
    private static final String DNNL = "org/bytedeco/dnnl/linux-x86_64/";
    private static final String OWN = "isthmus/native/linux-x86_64/";

    private final String name;
    private final MemorySegment handle;
    private final String origin;
    private final String problem;

    private NativeLibrary(String name, MemorySegment handle, String origin, String problem) {
        this.name = name;
        this.handle = handle;
        this.origin = origin;
        this.problem = problem;
    }

    /** The OpenMP runtime: that of the oneDNN artifact where it is on the path, else the system's. */
    public static NativeLibrary openMp() {
        return OpenMp.LIBRARY;
    }

    /** oneDNN, from the Maven artifact {@code org.bytedeco:dnnl}. */
    public static NativeLibrary oneDnn() {
        return OneDnn.LIBRARY;
    }

    /** Our own kernels. */
    public static NativeLibrary kernels() { return Own.LIBRARY; }

    /** The library's short name. */
    public String name() { return name; }

    /** The file that was opened, or the name that the system's loader was asked for; empty if absent. */
    public Optional<String> origin() {
        return Optional.ofNullable(origin);
    }

    /** Why the library is absent; empty if it was opened. */
    public Optional<String> problem() {
        return Optional.ofNullable(problem);
    }

    /** The address of an exported function or variable. */
    public Optional<MemorySegment> find(String symbol) {
        if (handle == null) return Optional.empty();
        return Optional.of(Libc.dlsym(handle, symbol)).filter(a -> a.address() != 0);
    }

    /** A library in a file, opened by its full path. */
    public static NativeLibrary file(String name, Path file) {
        return open(name, file.toAbsolutePath().toString());
    }

    /** A library that the system's loader finds by its soname. */
    public static NativeLibrary system(String name, String soname) {
        return open(name, soname);
    }

    private static NativeLibrary open(String name, String file) {
        try {
            return new NativeLibrary(name, Libc.dlopen(file), file, null);
        } catch (NativeException e) {
            return absent(name, e.words());
        }
    }

    /** A library that lies on the class path as a resource; nothing if there is no such resource. */
    public static Optional<NativeLibrary> resource(String name, String folder, String file) {
        return NativeLibrary.class.getClassLoader().getResource(folder + file) == null
                ? Optional.empty()
                : Optional.of(unpackAndOpen(name, folder, file));
    }

    /** A library that is not there, and why. */
    public static NativeLibrary absent(String name, String why) {
        return new NativeLibrary(name, null, null, name + " cannot be used: " + why);
    }

    /** Unpacks the resources and opens the last of them. */
    private static NativeLibrary unpackAndOpen(String name, String folder, String... files) {
        if (!"amd64".equals(System.getProperty("os.arch")) || !"Linux".equals(System.getProperty("os.name"))) {
            return absent(name, "only Linux on x86-64 is supported, this is " + System.getProperty("os.name") + " on "
                    + System.getProperty("os.arch"));
        }
        try {
            Path at = NativeCache.ofUser().unpack(folder, List.of(files));
            return open(name, at.resolve(files[files.length - 1]).toString());
        } catch (IOException | UncheckedIOException e) {
            return absent(name, e.getMessage());
        }
    }

    /** libgomp reads its settings from the environment once, while it is being opened. */
    private static void prepareOpenMp() {
        Integer threads = Integer.getInteger("isthmus.threads");
        if (threads != null) Libc.set("OMP_NUM_THREADS", Integer.toString(Math.max(1, threads)));
        String pinned = System.getProperty(Affinity.PROPERTY);
        if (pinned != null) {
            Libc.set("OMP_PLACES", Affinity.places(pinned));
            Libc.set("OMP_PROC_BIND", "close");
        }
        // Waiting threads spin some hundred microseconds, more than the gap between two kernels or what one thread is
        // behind another, and then sleep: by default they spin for milliseconds, which starves other processes on the
        // same cores.
        if (System.getenv("OMP_WAIT_POLICY") == null) Libc.setDefault("GOMP_SPINCOUNT", "10000");
    }

    // Each holder opens its library on first use, once, and never fails to initialise.

    private static final class OpenMp {
        static final NativeLibrary LIBRARY = openMp();

        private static NativeLibrary openMp() {
            prepareOpenMp();
            NativeLibrary shipped = unpackAndOpen("OpenMP", DNNL, "libgomp.so.1");
            return shipped.handle != null ? shipped : open("OpenMP", "libgomp.so.1");
        }
    }

    private static final class OneDnn {
        // It needs libgomp.so.1 by that name, which the loader then finds open already.
        static final NativeLibrary LIBRARY = after(openMp(), () -> unpackAndOpen("oneDNN", DNNL, "libdnnl.so.3"));
    }

    private static final class Own {
        static final NativeLibrary LIBRARY = after(openMp(), () -> unpackAndOpen("libisthmus", OWN, "libisthmus.so"));
    }

    private static NativeLibrary after(NativeLibrary needed, java.util.function.Supplier<NativeLibrary> then) {
        return needed.handle == null ? needed : then.get();
    }
}
