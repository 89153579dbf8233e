/**
 * What server and sites say to each other: messages, strict JSON, digests, kits and the one HTTPS link that sites and
 * administrators use. Everything read here is distrusted: sizes are bounded first, unknown keys are errors.
 */
package isthmus.wire;
