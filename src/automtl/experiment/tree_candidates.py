"""The boosted trees that may join an ensemble: of which kinds, on which inputs, with which settings."""

from __future__ import annotations

from automtl.ensemble.catboost_trees import CatBoostTrees
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.spec import MemberSpec
from automtl.ensemble.trees import TreeModel
from automtl.experiment.inputs import ModelInputs
from automtl.features.column_selection import InputGroups

TREES, SMALL_TREES, PLAIN_TREES = "boosted trees", "small boosted trees", "boosted trees without target encoding"
CATBOOST = "catboost"


def tree_candidates(inputs: ModelInputs, *, one: bool = False) -> list[tuple[MemberSpec, TreeSettings]]:
    """List the trees to train: of all inputs and, unless there is to be `one` alone, others that err otherwise.

    With histories smaller trees have all inputs, too; without them trees do without target encodings, if there are any.
    What is not installed is left out.
    """
    encoder, trees = inputs.all_rows.encoder, inputs.trees
    found = []
    if TreeModel.available():
        found.append((MemberSpec(TREES, "lightgbm", inputs.network), trees))
        if encoder.histories is not None:
            found.append((MemberSpec(SMALL_TREES, "lightgbm", inputs.network), trees.small))
        elif encoder.target_encodings:
            found.append(
                (MemberSpec(PLAIN_TREES, "lightgbm", inputs.network, inputs=InputGroups(target_encoding=False)), trees)
            )
    if CatBoostTrees.available():
        found.append((MemberSpec(CATBOOST, "catboost", inputs.network), trees))
    return found[:1] if one else found
