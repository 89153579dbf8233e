/** cuDNN 9's graph interface: descriptors that are stores of typed attributes, and plans made of them. */
package isthmus.bindings.cudnn;
