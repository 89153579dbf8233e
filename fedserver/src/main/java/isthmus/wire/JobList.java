package isthmus.wire;

import java.util.List;

/** All jobs of a server, oldest first. */
public record JobList(List<Line> jobs) {
    /** One job in short. */
    public record Line(String job, String state, String phase, int round, int rounds) {}
}
