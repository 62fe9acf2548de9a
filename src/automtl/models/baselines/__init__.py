"""Published models, one file each, from the same embeddings, gates and towers."""

from __future__ import annotations

from torch import nn

from automtl.models.baselines.adatt import AdaTT
from automtl.models.baselines.aitm import AITM
from automtl.models.baselines.cgc import CGC
from automtl.models.baselines.cross_stitch import CrossStitch
from automtl.models.baselines.esmm import ESMM
from automtl.models.baselines.home import HoME
from automtl.models.baselines.mmoe import MMoE
from automtl.models.baselines.ple import PLE
from automtl.models.baselines.shared_bottom import SharedBottom
from automtl.models.baselines.single_task import SingleTask
from automtl.models.baselines.stem import STEM

BASELINES: dict[str, type[nn.Module]] = {
    "single-task": SingleTask, "shared-bottom": SharedBottom, "mmoe": MMoE, "cgc": CGC, "ple": PLE, "aitm": AITM,
    "esmm": ESMM, "cross-stitch": CrossStitch, "stem": STEM, "adatt": AdaTT, "home": HoME,
}  # fmt: skip

__all__ = ["BASELINES"]
