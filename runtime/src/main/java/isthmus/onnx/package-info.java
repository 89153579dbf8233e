/**
 * Evaluation graphs as ONNX files that any ONNX runtime opens: opset 17, IR version 8, weights inside under their PyTorch
 * names, a free batch axis. Each op writes its own form ({@link isthmus.op.Op#onnx}); here the forms are put together. Ops
 * that belong to training have no form, and a graph with one of them is refused by op and place.
 */
package isthmus.onnx;
