"""A network that starts from an earlier one scores as it did, whatever the ids and columns are called now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from automtl.experiment.warm_start import NONE, earlier_rows, start_from
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.features.vocabulary import FIRST, UNKNOWN, Vocabulary
from automtl.models.registry import MODELS, new_model
from automtl.models.settings import NetworkSettings
from automtl.tables.infer import infer_schema
from automtl.tables.schema import Schema
from automtl.training.evaluation import predict_logits

NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(8,), dropout=0.0)
PLAIN = EncoderSettings(target_encoding=False)


@pytest.fixture(scope="module")
def schema(log: pl.DataFrame) -> Schema:
    return infer_schema(log, ["click", "buy"], drop=("like", "cart"))


def fitted(
    rows: pl.DataFrame, schema: Schema, kept: Encoder | None = None, settings: EncoderSettings = PLAIN
) -> Encoder:
    return Encoder.fit(rows, schema, settings, 0, kept=None if kept is None else kept.vocabularies)[0]


@pytest.mark.parametrize("name", ["mmoe", "stem", "tabm", "shared-bottom"])
def test_known_rows_are_scored_as_before(log: pl.DataFrame, schema: Schema, name: str) -> None:
    """Ids have other numbers, since other values are frequent now; numbers are scaled as before."""
    before = fitted(log[:700], schema)
    now = fitted(log[700:1400], schema, before)
    now = replace(now, scalers=before.scalers)
    assert not before.vocabularies["user_id"].values.equals(now.vocabularies["user_id"].values)
    earlier, later = (new_model(name, one.layout, NETWORK, seed) for seed, one in enumerate((before, now)))
    start_from(later, now, earlier, before)
    rows = log[:200]
    logits = [predict_logits(model, one.encode(rows)) for model, one in ((earlier, before), (later, now))]
    torch.testing.assert_close(logits[1], logits[0])
    assert name in MODELS.members()


def test_a_new_id_starts_as_an_unknown_one(log: pl.DataFrame, schema: Schema) -> None:
    before = fitted(log[:700], schema)
    stranger = log[700:1400].with_columns(item_id=pl.lit(10_000) + pl.col("item_id"))
    now = fitted(stranger, schema, before)
    rows, name = earlier_rows(now, before), "item_id"
    place = [one.name for one in now.layout.categorical].index(name)
    start = sum(one.size for one in now.layout.categorical[:place])
    start_before = sum(one.size for one in before.layout.categorical[:place])
    ids = now.vocabularies[name].encode(pl.Series([10_001, int(log["item_id"][0])]))
    known = before.vocabularies[name].encode(log["item_id"].head(1))[0]
    assert rows[start + ids].tolist() == [start_before + UNKNOWN, start_before + known] and known >= FIRST


def test_what_has_no_counterpart_keeps_its_first_weights(log: pl.DataFrame, schema: Schema) -> None:
    less = replace(schema, fields=tuple(one for one in schema.fields if one.name not in ("price", "device")))
    before, now = fitted(log[:700], less), fitted(log[700:1400], schema)
    earlier, later = (new_model("mmoe", one.layout, NETWORK, seed) for seed, one in enumerate((before, now)))
    fresh = {name: one.clone() for name, one in later.state_dict().items()}
    start_from(later, now, earlier, before)
    found = later.state_dict()
    rows = earlier_rows(now, before)
    alone = torch.from_numpy(np.flatnonzero(rows == NONE))
    table = next(name for name in found if name.endswith("embedding.table"))
    assert len(alone) and torch.equal(found[table][alone], fresh[table][alone])
    assert not torch.equal(found[table], fresh[table])
    projection = next(name for name in found if name.endswith("embedding.projection"))
    assert torch.equal(found[projection], fresh[projection])  # the only number is new


def test_earlier_values_follow_those_of_the_rows_up_to_the_most_that_may_be_known(
    log: pl.DataFrame, schema: Schema
) -> None:
    before = fitted(log[:700], schema)
    alone, joined = fitted(log[700:1400], schema), fitted(log[700:1400], schema, before)
    own = alone.vocabularies["user_id"].values
    assert joined.vocabularies["user_id"].values.head(own.len()).equals(own)
    assert set(joined.vocabularies["user_id"].values) == set(own) | set(before.vocabularies["user_id"].values)
    few = Vocabulary(pl.Series(["1", "2"])).joined(Vocabulary(pl.Series(["3", "2", "x"])), 3)
    assert few.values.to_list() == [1, 2, 3] or few.values.to_list() == ["1", "2", "3"]
    assert few.encode(pl.Series(["x", "3", None])).tolist() == [UNKNOWN, FIRST + 2, 0]


def test_training_rows_have_the_ids_of_kept_values(log: pl.DataFrame, schema: Schema) -> None:
    """A value too rare for an id of its own has one if it was known before."""
    before = fitted(log[:700], schema)
    settings = replace(PLAIN, min_count=1000)
    encoder, rows = Encoder.fit(log[700:1400], schema, settings, 0, kept=before.vocabularies)
    again = encoder.encode(log[700:1400])
    assert torch.equal(rows.features.categorical, again.features.categorical)
    assert int((rows.features.categorical >= FIRST).sum()) > 0
