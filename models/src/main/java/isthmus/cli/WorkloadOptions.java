package isthmus.cli;

import isthmus.graph.Rewrite;
import isthmus.graph.Rewrites;
import isthmus.profile.Workload;
import java.util.Iterator;
import java.util.List;
import picocli.CommandLine.Option;

/** The training step that a command times; what is not said is as the model is usually compared. */
final class WorkloadOptions {
    @Option(names = "--batch", paramLabel = "N", description = "Samples a step. Default: 32, of volumes 1.")
    private Integer batch;

    @Option(names = "--precision", paramLabel = "P", description = "fp32, bf16, f16 or amp. Default: amp.")
    private String precision = "amp";

    @Option(names = "--size", paramLabel = "N", description = "Edge of the square image or the cubic volume. Default: 224, of volumes 96.")
    private Integer size;

    @Option(names = "--channels", paramLabel = "N", description = "Channels of the image. Default: 3; of volumes, convnet2 and xraynet 1.")
    private Integer channels;

    @Option(names = "--classes", paramLabel = "N", description = "Outputs. Default: 18, of volumes 14.")
    private Integer classes;

    @Option(names = "--optimizer", paramLabel = "NAME", description = "sgd, adam or adamw. Default: adamw.")
    private String optimizer = "adamw";

    @Option(names = "--without", split = ",", paramLabel = "REWRITE", completionCandidates = RewriteNames.class, description = "Leave out rewrites of the compiler, to see what"
            + " they give: ${COMPLETION-CANDIDATES}; or all.")
    private List<String> without = List.of();

    /** What the help lists. */
    private static final class RewriteNames implements Iterable<String> {
        @Override
        public Iterator<String> iterator() { return Rewrite.options().iterator(); }
    }

    Workload of(String model) {
        try {
            leaveOut();
            Workload usual = Workload.usual(model, precision);
            var work = new Workload(model, or(batch, usual.batch()), precision, or(size, usual.size()),
                    or(channels, usual.channels()), or(classes, usual.classes()), optimizer);
            work.network();
            return work;
        } catch (IllegalArgumentException e) {
            throw new CliException(Exit.USAGE, e.getMessage(), e);
        }
    }

    /** Programs are compiled with what the property says, wherever in the process that is. */
    private void leaveOut() {
        if (without.isEmpty()) return;
        String rewrites = without.equals(List.of("all")) ? "none" : "-" + String.join(",-", without);
        Rewrites.parse(rewrites);
        System.setProperty(Rewrites.PROPERTY, rewrites);
    }

    private static int or(Integer said, int usual) { return said == null ? usual : said; }
}
