"""Candidate operations as values, one family a file, found by a short name or an import path."""

from __future__ import annotations

from automtl.operations.base import OPERATIONS, Block, BlockShape, Operation, operation
from automtl.operations.identity import Identity

__all__ = ["OPERATIONS", "Block", "BlockShape", "Identity", "Operation", "operation"]
