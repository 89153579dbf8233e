package isthmus.bench.gpu;

import isthmus.report.Figures;
import java.io.BufferedReader;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/** How busy NVIDIA's tool finds the GPU while this is open: the share of time in which a kernel ran. */
final class NvidiaSmi implements AutoCloseable {
    private final List<Double> samples = Collections.synchronizedList(new ArrayList<>());
    private final Optional<Process> process;

    NvidiaSmi() {
        Optional<Process> started;
        try {
            started = Optional.of(new ProcessBuilder("nvidia-smi", "--query-gpu=utilization.gpu",
                    "--format=csv,noheader,nounits", "--loop-ms=200").redirectErrorStream(true).start());
        } catch (IOException e) {
            started = Optional.empty();
        }
        process = started;
        process.ifPresent(p -> Thread.ofPlatform().daemon().name("nvidia-smi").start(() -> read(p)));
    }

    private void read(Process p) {
        try (BufferedReader lines = p.inputReader()) {
            for (String line = lines.readLine(); line != null; line = lines.readLine())
                if (line.strip().matches("\\d+")) samples.add(Integer.parseInt(line.strip()) / 100.0);
        } catch (IOException e) {
            assert !p.isAlive(); // ended in the middle of a line
        }
    }

    /** The median so far; NaN if it said nothing. The tool's own figures lag by up to a second, so ask after several. */
    double busy() {
        return Figures.median(List.copyOf(samples).stream().mapToDouble(Double::doubleValue).toArray());
    }

    @Override
    public void close() { process.ifPresent(Process::destroyForcibly); }
}
