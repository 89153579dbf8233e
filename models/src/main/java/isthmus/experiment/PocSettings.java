package isthmus.experiment;

import isthmus.backend.Precision;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import java.util.List;

/**
 * What the proof of concept trains. The defaults are those of the experiment that it repeats, as far as they are known:
 * ConvNet2, Adam, learning rates, passes a round, dropout and warm start; the rest was chosen so that a run takes minutes.
 *
 * @param rounds of the federation, in each configuration
 * @param size side of a picture in pixels
 * @param batch films a step
 * @param rank of the adapters
 * @param warmFilms films that the warm start learns from, evenly taken from all sites
 * @param warmEpochs passes over them; 0 for no warm start
 * @param seed of weights, order and dropout
 * @param threads cores to compute with
 */
public record PocSettings(int rounds, int size, int batch, int rank, int warmFilms, int warmEpochs, long seed,
        int threads) {
    /** The task: does the film show pneumonia? */
    public static final String LABEL = "Pneumonia";

    static final double DROPOUT = 0.5;

    /** Adapters' part is scaled by alpha / rank; this keeps that factor for every rank. */
    static final double ALPHA_OVER_RANK = 4;

    private static final List<String> ADAPTED = List.of("fc1", "fc2");

    /** Rounds over which accuracy is averaged, and its spread taken. */
    static final int LAST = 5;

    /**
     * One way to train.
     *
     * @param localEpochs passes over a site's films in a round
     */
    record Configuration(String name, Precision precision, boolean lora, double learningRate, int localEpochs) {}

    public PocSettings {
        atLeast("rounds", rounds, 1);
        atLeast("size", size, 8);
        atLeast("batch", batch, 1);
        atLeast("rank", rank, 1);
        atLeast("warm-films", warmFilms, 1);
        atLeast("warm-epochs", warmEpochs, 0);
        atLeast("threads", threads, 1);
    }

    private static void atLeast(String what, int value, int least) {
        if (value < least)
            throw new IllegalArgumentException(what + " is " + value + "; it is " + least + " or more");
    }

    /** The defaults. */
    public static PocSettings standard() {
        return new PocSettings(20, 64, 32, 2, 180, 10, 1, Runtime.getRuntime().availableProcessors());
    }

    /** The four configurations; the first is what the others are compared with. */
    static List<Configuration> four() {
        Precision amp = Precision.parse("amp");
        return List.of(new Configuration("full fp32", Precision.FP32, false, 5e-4, 1),
                new Configuration("full AMP", amp, false, 3e-4, 1),
                new Configuration("LoRA fp32", Precision.FP32, true, 2e-3, 2),
                new Configuration("LoRA AMP", amp, true, 2e-3, 2));
    }

    Adaptation adaptation(Configuration c) {
        return c.lora ? Adaptation.lora(new Lora(rank, ALPHA_OVER_RANK * rank, ADAPTED)) : Adaptation.NONE;
    }
}
