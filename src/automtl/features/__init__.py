"""The encoder, which turns a table into tensors, and its parts."""
