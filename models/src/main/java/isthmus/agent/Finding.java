package isthmus.agent;

/**
 * What the model says of one label.
 *
 * @param probability in [0, 1]
 * @param logit the model's raw output
 */
public record Finding(String label, float probability, float logit) {}
