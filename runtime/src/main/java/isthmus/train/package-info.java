/** Losses, optimizers, schedules, the trainer and the evaluator, metrics. */
package isthmus.train;
