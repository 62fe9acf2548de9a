"""Published models, one a file, made of the same embeddings, gates and towers; here by short name."""

from __future__ import annotations

BASELINES = {
    "single-task": "automtl.models.baselines.single_task:SingleTask",
    "shared-bottom": "automtl.models.baselines.shared_bottom:SharedBottom",
    "mmoe": "automtl.models.baselines.mmoe:MMoE",
    "cgc": "automtl.models.baselines.cgc:CGC",
    "ple": "automtl.models.baselines.ple:PLE",
    "aitm": "automtl.models.baselines.aitm:AITM",
    "esmm": "automtl.models.baselines.esmm:ESMM",
    "cross-stitch": "automtl.models.baselines.cross_stitch:CrossStitch",
    "stem": "automtl.models.baselines.stem:STEM",
    "adatt": "automtl.models.baselines.adatt:AdaTT",
    "home": "automtl.models.baselines.home:HoME",
    "deep-cross": "automtl.models.baselines.deep_cross:DeepCross",
    "tabm": "automtl.models.baselines.tabm:TabM",
}
