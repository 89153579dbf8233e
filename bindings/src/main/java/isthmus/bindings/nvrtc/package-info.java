/** NVIDIA's run-time compiler. */
package isthmus.bindings.nvrtc;
