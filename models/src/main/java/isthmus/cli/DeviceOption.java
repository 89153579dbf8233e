package isthmus.cli;

import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.task.Compute;
import java.util.Optional;
import picocli.CommandLine.Option;

/** Where to compute. */
final class DeviceOption {
    @Option(names = "--device", paramLabel = "DEVICE", defaultValue = "cpu", description = "Where to compute: cpu, cuda, cuda:N for one"
            + " of several GPUs, or cuda-emulated, which proves the GPU's code without one. Default: cpu.")
    private String device = "cpu";

    /** What to do where the device cannot be used. */
    private String instead = "train with --device cpu, or see isthmus doctor";

    /** The option as if it had been given, with what to do where the device cannot be used. */
    static DeviceOption named(String device, String instead) {
        var option = new DeviceOption();
        option.device = device;
        option.instead = instead;
        return option;
    }

    /** The device, or a refusal that says what is missing and what to do. */
    Compute with(int threads) {
        String name = device.split(":", 2)[0];
        BackendProvider provider = Backends.all().stream().filter(p -> p.name().equals(name)).findFirst()
                .orElseThrow(() -> new CliException(Exit.USAGE, "--device is '" + device + "'; there are "
                        + Backends.all().stream().map(BackendProvider::name).toList()));
        Optional<String> problem = provider.problem();
        if (problem.isPresent())
            throw new CliException(Exit.FAILED,
                    "--device " + device + ": " + problem.get() + "; " + instead);
        return new Compute(device, threads);
    }

    /** As it was given. */
    String device() { return device; }
}
