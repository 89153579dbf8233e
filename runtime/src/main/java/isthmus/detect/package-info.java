/**
 * Finding things in volumes: anchors, how they are matched to boxes and boxes written as codes, the targets of a training step,
 * boxes decoded from a detector's maps and thinned out, and windows over volumes larger than a network's input. Formulas and
 * defaults as MONAI's RetinaNet detector. Boxes are float arrays, of each the low corner, then the high one, in voxels.
 */
package isthmus.detect;
