/** oneDNN's C API, one static method a function, named like its manual page without the prefix. */
package isthmus.bindings.onednn;
