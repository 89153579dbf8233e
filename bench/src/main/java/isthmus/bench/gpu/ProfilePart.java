package isthmus.bench.gpu;

import static isthmus.report.Figures.digits;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.profile.Ceiling;
import isthmus.profile.Profile;
import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/** Where the time of a step goes: by kind of call, and the longest calls. Times are the device's own; the roofline is an H200's. */
final class ProfilePart {
    /** The whole. */
    record Whole(String model, int batch, String dtype, double stepMs, double callsMs, double buildS,
            double buildAgainS,
            double arenaMb, double gbPerStep, double gflopPerStep) {}

    /** One kind of call. */
    record Kind(String op, int calls, double ms, double share, double gbPerS, double tflopPerS, double roofline) {}

    /** One call. */
    record One(String call, String place, String implementation, String shapes, double us, double gbPerS,
            double tflopPerS, double roofline) {}

    private static final int LONGEST = 30;

    private ProfilePart() {}

    /** Arguments: device, model, batch, precision, size, steps. */
    public static void main(String[] args) {
        Workload usual = Workload.usual(args[1], args[3]);
        Workload work = new Workload(args[1], Integer.parseInt(args[2]), args[3], Integer.parseInt(args[4]),
                usual.channels(), usual.classes(), usual.optimizer());
        try (Backend backend = Backends.open(args[0], 1)) {
            print(Profile.run(work, backend, Ceiling.H200.roofline(), 1, Integer.parseInt(args[5])));
        }
    }

    private static void print(Profile.Result p) {
        System.out.println(JsonFile.line(new Whole(p.model(), p.batch(), p.dtype(), p.stepMs(), p.callsMs(), p.buildS(),
                p.buildAgainS(), p.arenaMb(), p.gbPerStep(), p.gflopPerStep())));
        p.rows().stream().collect(Collectors.groupingBy(Profile.Row::op)).entrySet().stream()
                .map(e -> kind(e.getKey(), e.getValue())).sorted(Comparator.comparingDouble(Kind::ms).reversed())
                .forEach(k -> System.out.println(JsonFile.line(k)));
        p.rows().stream().sorted(Comparator.comparingDouble(Profile.Row::ms).reversed()).limit(LONGEST)
                .forEach(
                        r -> System.out.println(JsonFile.line(new One(r.op(), r.label(), r.implementation(), r.shapes(),
                                digits(1e3 * r.ms()), digits(r.gbPerS()),
                                digits(r.gflopPerS() / 1e3), digits(r.roofline())))));
    }

    private static Kind kind(String op, List<Profile.Row> of) {
        double ms = of.stream().mapToDouble(Profile.Row::ms).sum();
        double least = of.stream().mapToDouble(r -> r.ms() * r.roofline()).sum();
        return new Kind(op, of.size(), digits(ms),
                digits(of.stream().mapToDouble(Profile.Row::share).sum()),
                digits(of.stream().mapToLong(Profile.Row::bytes).sum() / ms / 1e6),
                digits(of.stream().mapToLong(Profile.Row::flops).sum() / ms / 1e9),
                digits(least / ms));
    }
}
