package isthmus.train;

import isthmus.tensor.Safetensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** An optimizer's moments as a safetensors file, names as in PyTorch's state; counts stand in the metadata. */
final class OptimizerFile {
    private static final String STEPS = "optimizer.steps";
    private static final String SCALE = "optimizer.loss_scale";
    private static final String GOOD = "optimizer.good_steps";

    private OptimizerFile() {}

    static void write(Path file, Optimizer optimizer, LossScaler scaler, Map<String, String> about) throws IOException {
        Map<String, String> all = new HashMap<>(about);
        all.put(STEPS, Long.toString(optimizer.steps()));
        if (scaler != null) {
            all.put(SCALE, Float.toString(scaler.scale()));
            all.put(GOOD, Integer.toString(scaler.goodSteps()));
        }
        Safetensors.write(file, optimizer.state(), all);
    }

    static Map<String, String> read(Path file, Optimizer optimizer, LossScaler scaler) throws IOException {
        Map<String, String> about = Safetensors.inspect(file).metadata();
        try {
            long steps = Long.parseLong(about.getOrDefault(STEPS, ""));
            if (steps < 0) throw new NumberFormatException("negative");
            if (scaler != null && about.containsKey(SCALE)) {
                float scale = Float.parseFloat(about.get(SCALE));
                int good = Integer.parseInt(about.getOrDefault(GOOD, "0"));
                if (!(scale >= LossScaler.LEAST && Float.isFinite(scale)) || good < 0)
                    throw new NumberFormatException("scale");
                scaler.resume(scale, good);
            }
            Safetensors.load(file, optimizer.state());
            optimizer.resume(steps);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(file + ": no optimizer's state of this program", e);
        }
        return about;
    }
}
