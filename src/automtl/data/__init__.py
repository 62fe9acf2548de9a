"""From a table to batches of tensors."""
