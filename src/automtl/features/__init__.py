"""A table becomes tensors."""
