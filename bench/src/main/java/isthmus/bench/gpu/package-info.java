/**
 * The check of a GPU in one command: every part is a process of its own with a limit of time, so that one that fails or
 * hangs leaves the others, and what came is written as it comes.
 */
package isthmus.bench.gpu;
