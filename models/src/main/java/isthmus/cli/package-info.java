/** Placeholder until the package's first class lands. */
package isthmus.cli;
