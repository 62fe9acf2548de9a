"""Names of the models that can be trained. No torch, so that the command line's help stays quick."""

from __future__ import annotations

BASELINE_NAMES = (
    "single-task", "shared-bottom", "mmoe", "cgc", "ple", "aitm", "esmm", "cross-stitch", "stem", "adatt", "home",
)  # fmt: skip
RIVAL_NAMES = (*BASELINE_NAMES, "lightgbm")
MODEL_NAMES = ("automtl", *RIVAL_NAMES)
