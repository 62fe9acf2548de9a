"""A package of one's own: an operation, a model, a strategy, a metric and a dataset, each in one file."""
