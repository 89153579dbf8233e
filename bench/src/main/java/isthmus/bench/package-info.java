/** Benchmarks and whole-run comparisons. Nothing imports this package. */
package isthmus.bench;
