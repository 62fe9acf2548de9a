"""Tensor parts that know neither files nor search."""
