"""The boosted trees that may join an ensemble: of which kinds, on which inputs, with which settings."""

from __future__ import annotations

from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.experiment.inputs import ModelInputs
from automtl.features.column_selection import InputGroups
from automtl.predictor import MemberSpec

TREES, SMALL_TREES, PLAIN_TREES = "boosted trees", "small boosted trees", "boosted trees without target encoding"


def tree_candidates(inputs: ModelInputs, *, one: bool = False) -> list[tuple[MemberSpec, TreeSettings]]:
    """List the trees to train: of all inputs and, unless there is to be `one` alone, others that err otherwise.

    With histories smaller trees have all inputs, too; without them trees do without target encodings, if there are any.
    """
    encoder, trees = inputs.all_rows.encoder, inputs.trees
    if not TreeModel.available():
        return []
    found = [(MemberSpec(TREES, "lightgbm", inputs.network), trees)]
    if one:
        return found
    if encoder.histories is not None:
        found.append((MemberSpec(SMALL_TREES, "lightgbm", inputs.network), trees.small))
    elif encoder.target_encodings:
        found.append(
            (MemberSpec(PLAIN_TREES, "lightgbm", inputs.network, inputs=InputGroups(target_encoding=False)), trees)
        )
    return found
