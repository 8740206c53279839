"""Variants of the exported ONNX model with fewer bits, kept where they lose less than a stated accuracy."""
