/** What an administrator does with a server: submit, watch, abort, fetch the models. */
package isthmus.admin;
