"""Encoded rows on disk, and the preparation of tables larger than memory."""
