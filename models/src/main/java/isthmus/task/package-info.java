/** Tasks: what is trained on which data by which recipe, pooled or as a site of a federation. */
package isthmus.task;
