/** The command line: one small class a command; the only package that sees all others. */
package isthmus.cli;
