/** The one narrow interface behind which devices differ: memory, and kernels prepared once and run many times. */
package isthmus.backend;
