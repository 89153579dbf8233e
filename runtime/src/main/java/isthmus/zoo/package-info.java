/** One file a network, and the catalogue. */
package isthmus.zoo;
