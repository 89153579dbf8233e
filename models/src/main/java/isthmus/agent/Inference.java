package isthmus.agent;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession;
import java.nio.file.Path;
import java.util.Optional;

/**
 * An ONNX Runtime session on the best device that loads.
 *
 * @param device {@code cpu} or {@code cuda}
 * @param notice why the GPU is not used although its library is there
 */
record Inference(OrtEnvironment environment, OrtSession session, String device, Optional<String> notice) {
    /** Opens a file; the GPU is tried first where the GPU artifact is on the class path and {@code gpu} is set. */
    static Inference open(Path file, int threads, boolean gpu) {
        // Only what is fatal: a provider that does not load is said in one line of our own.
        OrtEnvironment environment = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "isthmus");
        Optional<String> notice = Optional.empty();
        if (gpu && OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA)) {
            try {
                return new Inference(environment, session(environment, file, threads, true), "cuda", notice);
            } catch (OrtException e) {
                notice = Optional.of("GPU inference does not load here, using the CPU: " + firstLine(e));
            }
        }
        try {
            return new Inference(environment, session(environment, file, threads, false), "cpu", notice);
        } catch (OrtException e) {
            throw new AgentException(file + ": is no ONNX model that ONNX Runtime " + environment.getVersion()
                    + " can open (" + firstLine(e) + "); export it again", e);
        }
    }

    private static OrtSession session(OrtEnvironment environment, Path file, int threads, boolean cuda)
            throws OrtException {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            options.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.SEQUENTIAL);
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
            // Waiting threads sleep: the cores are shared with what prepares the images.
            options.addConfigEntry("session.intra_op.allow_spinning", "0");
            if (cuda) options.addCUDA();
            return environment.createSession(file.toString(), options);
        }
    }

    static String firstLine(OrtException e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("no reason given").strip();
    }
}
