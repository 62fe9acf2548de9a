"""A run's numbers as text, from plain values only."""
