/** The graph of ops, its gradients, fusions, memory plan, and the program that comes out: a flat list of native calls. */
package isthmus.graph;
