/** What people see of a run: progress bars, tables, learning curves as a picture. Knows nothing of models or wires. */
package isthmus.report;
