/** How fast a training step is and where its time goes: benchmark, profile, roofline, trace. */
package isthmus.profile;
