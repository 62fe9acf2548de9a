"""Published models, one file each, from the same embeddings, gates and towers."""

from __future__ import annotations

from torch import nn

from automtl.models.baselines.cgc import CGC
from automtl.models.baselines.mmoe import MMoE
from automtl.models.baselines.ple import PLE
from automtl.models.baselines.shared_bottom import SharedBottom
from automtl.models.baselines.single_task import SingleTask

BASELINES: dict[str, type[nn.Module]] = {
    "single-task": SingleTask, "shared-bottom": SharedBottom, "mmoe": MMoE, "cgc": CGC, "ple": PLE,
}  # fmt: skip

__all__ = ["BASELINES"]
