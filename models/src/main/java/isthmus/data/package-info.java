/** Reads labelled images from a hospital's folders and turns them into training batches, off the Java heap. */
package isthmus.data;
