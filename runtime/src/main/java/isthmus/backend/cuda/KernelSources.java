package isthmus.backend.cuda;

import isthmus.bindings.NativeException;
import isthmus.bindings.UserCache;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Our CUDA kernels: shipped as source, compiled by NVRTC for the GPU at hand on first use, and kept in the user's cache by
 * source, compiler, architecture and options.
 */
final class KernelSources implements AutoCloseable {
    private static final String FOLDER = "isthmus/native/cuda/";
    private static final List<String> HEADERS = List.of("kernel.cuh", "window.cuh", "norm.cuh");
    /** Files, by the names of their kernels up to the element type. */
    private static final Map<String, String> FILES = files();

    private final Device device;
    private final Map<String, MemorySegment> modules = new HashMap<>();
    private final Map<String, MemorySegment> functions = new HashMap<>();

    KernelSources(Device device) { this.device = device; }

    private static Map<String, String> files() {
        Map<String, String> all = new HashMap<>();
        for (String line : List.of(
                "elementwise relu relu_backward add multiply sigmoid sigmoid_backward silu silu_backward dropout"
                        + " stochastic_depth fill convert",
                "layout channels_first channels_last column_sum add_bias",
                "norm norm_sums norm_statistics norm_apply norm_backward_sums norm_backward_finish norm_backward_apply"
                        + " frozen_norm_backward update_statistics",
                "gate gate_sums gate_finish gate_scale gate_backward_sums gate_backward_apply",
                "pool max_pool max_pool_backward avg_pool avg_pool_backward global_avg_pool global_avg_pool_backward",
                "loss loss_scale cross_entropy bce_with_logits focal smooth_l1",
                "dice dice_sums dice_finish dice_gradient",
                "channels copy_columns scale_channels scale_channels_backward", "upsample upsample upsample_backward",
                "warp warp_affine",
                "depthwise depthwise depthwise_data depthwise_weights depthwise_finish",
                "detection detection_keys detection_choose detection_sort detection_draw detection_loss",
                "optim sgd adam proximal axpy average squares add_parts step_begin step_loss step_proximal step_average step_decide step_undo sgd_step adam_step"
                        + " copy_weights")) {
            String[] names = line.split(" ", -1);
            for (int i = 1; i < names.length; i++)
                all.put(names[i], names[0]);
        }
        return all;
    }

    /** A kernel by its family and what follows it in the name, as in {@code relu} and {@code _f16}. */
    MemorySegment function(String family, String suffix) {
        return functions.computeIfAbsent(family + suffix, name -> {
            String file = FILES.get(family);
            if (file == null) throw new IllegalArgumentException("no CUDA kernel is called " + family);
            return device.driver.function(modules.computeIfAbsent(file, this::load), name);
        });
    }

    private MemorySegment load(String file) {
        Map<String, String> headers = new LinkedHashMap<>();
        HEADERS.forEach(h -> headers.put(h, resource(h)));
        String source = resource(file + ".cu");
        List<String> options = List.of("--gpu-architecture=sm_" + device.capability, "--std=c++17");
        int compiler = device.libraries.nvrtc().version();
        byte[] cubin = UserCache.ofUser().get("cubin", file,
                List.of(source, headers.toString(), options.toString(), compiler + device.name),
                () -> compile(file, source, headers, options));
        try (Arena scratch = Arena.ofConfined()) {
            return device.driver.loadModule(scratch.allocateFrom(ValueLayout.JAVA_BYTE, cubin));
        }
    }

    private byte[] compile(String file, String source, Map<String, String> headers, List<String> options) {
        try {
            return device.libraries.nvrtc().compile(file + ".cu", source, headers, options);
        } catch (NativeException e) {
            throw e.in("compiling " + file + ".cu for " + device.name);
        }
    }

    private static String resource(String name) {
        try (InputStream in = KernelSources.class.getClassLoader().getResourceAsStream(FOLDER + name)) {
            if (in == null)
                throw new IllegalStateException("the resource " + FOLDER + name + " is not on the class path");
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("the resource " + FOLDER + name + " cannot be read", e);
        }
    }

    @Override
    public void close() { modules.values().forEach(device.driver::unloadModule); }
}
