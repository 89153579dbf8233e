package isthmus.server;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import isthmus.wire.RoundRecord;
import isthmus.wire.Task;
import java.util.Map;

/** What changes a job, as it stands in the {@link Journal}. A job's state is the sum of its events and nothing else. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "event")
@JsonSubTypes({
        @JsonSubTypes.Type(value = Event.Started.class, name = "started"),
        @JsonSubTypes.Type(value = Event.Joined.class, name = "joined"),
        @JsonSubTypes.Type(value = Event.Accepted.class, name = "accepted"),
        @JsonSubTypes.Type(value = Event.Withdrawn.class, name = "withdrawn"),
        @JsonSubTypes.Type(value = Event.Folded.class, name = "folded"),
        @JsonSubTypes.Type(value = Event.Reported.class, name = "reported"),
        @JsonSubTypes.Type(value = Event.Closed.class, name = "closed"),
        @JsonSubTypes.Type(value = Event.Ended.class, name = "ended")})
sealed interface Event {
    /** The initial weights are there and sound: round 1 opens. */
    record Started(Task.Weights weights) implements Event {}

    /** A site took its first task: after a restart it is waited for as if it had just shown progress. */
    record Joined(String site) implements Event {}

    /** A site's update is staged, verified and on disk; it will be folded. */
    record Accepted(int round, String site, long samples, long bytes, String sha256, int chunkBytes, double seconds,
            Map<String, Double> metrics) implements Event {}

    /** An accepted update was found damaged on disk after a restart; the site is asked for it again. */
    record Withdrawn(int round, String site, String why) implements Event {}

    /** The new global weights are on disk: validation opens. */
    record Folded(int round, Task.Weights weights, String inputs) implements Event {}

    /** A site has validated the new global weights. */
    record Reported(int round, String site, long samples, Map<String, Double> metrics) implements Event {}

    /** The round is over; best and last model are on disk. */
    record Closed(RoundRecord record) implements Event {}

    /** Nothing more will happen. */
    record Ended(String state, String reason) implements Event {}
}
