/**
 * The clinic's side: opens an exported model with ONNX Runtime, prepares images exactly as training did, and gives findings
 * with probabilities. Knows nothing of training.
 */
package isthmus.agent;
