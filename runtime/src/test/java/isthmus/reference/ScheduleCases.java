package isthmus.reference;

import isthmus.train.Schedule;

/** Learning-rate factors, step by step. */
final class ScheduleCases {
    private ScheduleCases() {}

    static Outcome run(Case c) {
        if (!c.json().get("schedule").asString().equals("warmup_cosine")) {
            return Outcome.skipped(c.name(), "fp64",
                    "schedule " + c.json().get("schedule").asString() + " is not built yet");
        }
        Outcome outcome = new Outcome(c.name(), "fp64");
        Schedule schedule = new Schedule(c.attrs().get("warmup_fraction").asDouble(),
                c.attrs().get("min_factor").asDouble());
        long total = c.attrs().get("total_steps").asLong();
        double[] expected = Case.numbers(c.expect().get("factor"));
        for (int i = 0; i < expected.length; i++)
            outcome.check("step " + i, Math.abs(schedule.factor(i, total) - expected[i]), 1e-8);
        return outcome;
    }
}
