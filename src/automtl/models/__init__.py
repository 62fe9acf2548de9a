"""The network of a search space, the supernet on top of it, and published models."""
