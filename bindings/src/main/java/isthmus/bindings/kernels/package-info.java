/** Our own native kernels, one static method a function of {@code isthmus.h}. */
package isthmus.bindings.kernels;
