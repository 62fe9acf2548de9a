"""A saved model as a file that other programs run: ONNX of raw columns, or a program of torch (docs/export.md)."""
