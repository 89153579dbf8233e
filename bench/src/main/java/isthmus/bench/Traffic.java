package isthmus.bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** Memory that a benchmark's calls must move at least: all that is read, once, and all that is written, once. */
@AuxCounters(AuxCounters.Type.OPERATIONS)
@State(Scope.Thread)
public class Traffic {
    /** JMH turns it into bytes a second. */
    @SuppressWarnings("PublicField") // JMH wants it so
    public long bytes;
}
