/** NVIDIA's driver, and where the CUDA libraries of this machine are. Device pointers are {@code long}. */
package isthmus.bindings.cuda;
