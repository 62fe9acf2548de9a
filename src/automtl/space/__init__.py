"""Search spaces and architectures as plain values."""

from __future__ import annotations

from automtl.space.architecture import Architecture
from automtl.space.presets import SpaceSettings, published_space
from automtl.space.space import Choice, SearchSpace

__all__ = ["Architecture", "Choice", "SearchSpace", "SpaceSettings", "published_space"]
