"""Ensembles of networks and boosted trees."""
