/** Finds, checks and opens native libraries; the only place that links or reinterprets native memory. */
package isthmus.bindings;
