/** Matrix products by cuBLASLt. */
package isthmus.bindings.cublas;
