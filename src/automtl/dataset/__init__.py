"""Encoded rows on disk, and how tables larger than memory get there."""
