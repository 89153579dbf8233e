/** Experiments that answer a question by training, each one command. */
package isthmus.experiment;
