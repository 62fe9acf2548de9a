"""automtl: search, train and prove a multi-task recommendation model for a table of logged behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automtl._version import __version__

if TYPE_CHECKING:
    from automtl.estimator import AutoMTL
    from automtl.predictor import Predictor

__all__ = ["AutoMTL", "Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Heavy parts are imported when first used, so that `import automtl` stays quick."""
    if name == "AutoMTL":
        from automtl.estimator import AutoMTL

        return AutoMTL
    if name == "Predictor":
        from automtl.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'automtl' has no attribute '{name}'")
