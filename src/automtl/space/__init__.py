"""Search spaces and architectures as plain values."""

from __future__ import annotations

from automtl.space.architecture import Architecture
from automtl.space.presets import SpaceSettings, make_space, published_space
from automtl.space.space import Choice, SearchSpace

__all__ = ["Architecture", "Choice", "SearchSpace", "SpaceSettings", "make_space", "published_space"]
