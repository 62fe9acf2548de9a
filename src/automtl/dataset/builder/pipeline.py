"""All steps, one after another, over one working folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from automtl.dataset.builder.chunks import Reader, read_values
from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.counting import Ranking, rank_column
from automtl.dataset.builder.encode import RowWriter
from automtl.dataset.builder.reader import Source
from automtl.dataset.builder.split import split_rows
from automtl.dataset.builder.statistics import Numbers, check_labels, fit_numbers, newest_of
from automtl.dataset.builder.target_encoding import History, Terms
from automtl.dataset.builder.workdir import SPLITS, TRAIN, Work
from automtl.dataset.prepared import write_encoder
from automtl.dataset.store import Store
from automtl.errors import SchemaError
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder, EncoderSettings, tell_cut
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler
from automtl.features.vocabulary import Vocabulary
from automtl.system.files import remove_unfinished
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.threads import in_order, in_threads
from automtl.tables.schema import Field, FieldKind, Schema
from automtl.tables.split import SplitSettings

VALUE_BYTES = 64  # of a value of a vocabulary, about
ELEMENT_BYTES = 4  # of an encoded row
VALUES, COUNTED, KEYS = 4, 8, 8  # a quarter of the memory is for vocabularies, an eighth for a column that is counted,
# an eighth for a key's rates

Item = TypeVar("Item")
Result = TypeVar("Result")
Thin = Callable[[Iterable[Batch], int], Iterable[Batch]]  # training rows, of which there are so many: what stays


@dataclass(frozen=True)
class Preparation:
    """One job. `rows` of a chunk and `memory_bytes` decide how, not what, but for vocabularies that do not fit."""

    source: Source
    schema: Schema
    settings: EncoderSettings
    split: SplitSettings
    seed: int
    work: Work
    rows: int
    memory_bytes: int
    callback: Callback = ignore
    thin: Thin = lambda batches, rows: batches

    @cached_property
    def columns(self) -> Columns:
        """What is kept of a row."""
        return Columns(self.schema, self.settings, self.split, self.source.columns)

    def run(self) -> tuple[Encoder, dict[str, Any]]:
        """Encoded rows in `encoded/NAME` of the working folder; the encoder, and what was found."""
        self._read()
        rows = split_rows(self.work, self.columns, self.seed)
        tasks = check_labels(self.work, self.columns)
        fitted = Fitted.of(self, rows)
        encoded = self.work.folder / "encoded"
        encoded.mkdir(exist_ok=True)
        remove_unfinished(encoded)
        with ThreadPoolExecutor(1) as pool:  # which takes as long as some millions of rows where vocabularies are large
            saved = pool.submit(write_encoder, encoded, fitted.encoder)
            fitted.write(rows)
            saved.result()
        return fitted.encoder, self._report(rows) | {"tasks": tasks, "columns": fitted.report(rows)}

    def _read(self) -> None:
        done = 0
        for rows in Reader(self.source, self.columns, self.work, self.rows, self.memory_bytes).read():
            done += rows
            self.callback(Progress("reading", done, max(self.source.rows or 0, done)))

    def _report(self, rows: list[int]) -> dict[str, Any]:
        unused = [name for name in self.source.columns if name not in self.columns.needed]
        return {
            "files": len(self.source.parts),
            "empty_files": [str(part.path.name) for part in self.source.parts if part.rows == 0],
            "rows": {"read": sum(rows), **dict(zip(SPLITS, rows, strict=True))},
            "unused_columns": unused,
        }

    def each(self, stage: str, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """The results, in parallel; tells of each that is there."""
        listed, found = list(items), []
        for result in in_order(work, listed):
            found.append(result)
            self.callback(Progress(stage, len(found), len(listed)))
        return found


@dataclass(frozen=True)
class Fitted:
    """The encoder and what it was made of: rankings by place, known values by place and by key, reports of numbers."""

    job: Preparation
    encoder: Encoder
    rankings: list[Ranking]
    key_known: list[int]
    numbers: dict[str, dict[str, Any]]
    history: History

    @staticmethod
    def of(job: Preparation, rows: list[int]) -> Fitted:
        """Vocabularies, scalers and rates of the training rows."""
        columns, work = job.columns, job.work
        newest = newest_of(work, columns)
        counted = [place for place, one in enumerate(columns.coded) if one.field is not None or one.key]
        most, memory = job.memory_bytes // VALUES // VALUE_BYTES, job.memory_bytes // COUNTED
        numbers = [_numbers(job, field, newest) for field in columns.fields if field.kind is FieldKind.NUMERIC]
        tasks: list[Callable[[], Any]] = [partial(_named_fit, one, rows) for one in numbers]
        tasks += [partial(rank_column, work, columns, place, most, memory) for place in counted]
        found = job.each("counting", lambda task: task(), tasks)
        fits, rankings = found[: len(numbers)], found[len(numbers) :]
        vocabularies, key_known = _vocabularies(job, rankings)
        scalers: dict[str, Scaler | Piecewise] = {name: one for name, one, _ in fits if isinstance(one, Scaler)}
        scalers |= {name: one for name, one, _ in fits if isinstance(one, Piecewise)}
        terms, settings = Terms(work, columns, rows[TRAIN]), job.settings
        share = job.memory_bytes // KEYS
        history = History(terms, settings.folds, settings.smoothing, job.seed, share)
        encoder = Encoder(job.schema, settings, vocabularies, scalers, {}, newest)
        if columns.rate_keys:
            history.begin()
        fitted = Fitted(job, encoder, rankings, key_known, {name: about for name, _, about in fits}, history)
        rates = job.each("rates", fitted._rates, range(len(columns.rate_keys)))
        encoder.target_encodings.update(zip(columns.rate_keys, rates, strict=True))
        return fitted

    def _rates(self, key: int) -> Any:
        place = self.job.columns.place(self.job.columns.rate_keys[key])
        return self.history.rates(key, self.rankings[place], self.key_known[key])

    def write(self, rows: list[int]) -> None:
        """Encoded rows of each split, where they are not there yet. Those that the memory would not hold leave it."""
        job, done, layout = self.job, 0, self.encoder.layout
        width = len(layout.categorical) + layout.num_numeric + 2 * layout.num_tasks + 1  # and lists
        cached = sum(rows) * width * ELEMENT_BYTES <= job.memory_bytes
        folders = [job.work.folder / "encoded" / name for name in SPLITS]
        writer = None
        for split, folder in enumerate(folders):
            if not folder.exists():
                writer = writer or self._writer()
                batches: Iterable[Batch] = self._told(writer.batches(split), done, sum(rows))
                if split == TRAIN:
                    batches = job.thin(batches, rows[TRAIN])
                Store.write(folder, batches, layout, cached=cached)
            done += rows[split]

    def _told(self, batches: Iterable[Batch], done: int, total: int) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            done += len(batch)
            self.job.callback(Progress("encoding", done, total))

    def _writer(self) -> RowWriter:
        job, columns = self.job, self.job.columns
        places = [place for place, one in enumerate(columns.coded) if one.field is not None]
        ids = dict(zip(places, in_threads(self._ids, places), strict=True))
        key_ids = tuple(
            self.rankings[columns.place(key)].ids(known)
            for key, known in zip(columns.rate_keys, self.key_known, strict=True)
        )
        return RowWriter(job.work, columns, self.encoder, ids, key_ids, self.history if key_ids else None)

    def _ids(self, place: int) -> np.ndarray:
        """The id of each code of a field."""
        field = self.job.columns.coded[place].field
        assert field is not None
        vocabulary = self.encoder.vocabularies[field.target or field.name]
        chunks = self.job.work.chunks
        if field.target is not None:
            own = Vocabulary(vocabulary.values, vocabulary.hashed)  # whose look-up table goes when it is done
            return np.concatenate([np.zeros(1, np.int32), *(own.encode(read_values(one, place)) for one in chunks)])
        ids, start = self.rankings[place].ids(vocabulary.values.len()), 1
        for chunk in chunks if vocabulary.hashed else ():
            values = read_values(chunk, place)
            vocabulary.share_unknown(values, ids[start : start + values.len()])
            start += values.len()
        return ids

    def report(self, rows: list[int]) -> dict[str, Any]:
        """By column: missing and unseen rows of each split, and what was learned of it."""
        found: dict[str, Any] = {}
        for place, one in enumerate(self.job.columns.coded):
            if one.field is not None:
                vocabulary = self.encoder.vocabularies[one.field.target or one.field.name]
                found[one.field.name] = _told_ids(one.field, self.rankings[place], vocabulary)
        for name, about in self.numbers.items():
            scaler = self.encoder.scalers[name]
            missing = dict(zip(SPLITS, about["missing"], strict=True))
            found[name] = {"kind": "numeric", "missing": missing, "least": about["least"], "most": about["most"]}
            if isinstance(scaler, Scaler):
                found[name] |= {"log": scaler.log, "mean": scaler.mean, "std": scaler.std}
        return found


def _told_ids(field: Field, ranking: Ranking, vocabulary: Vocabulary) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": str(field.kind), "values": ranking.distinct, "known": vocabulary.values.len()}
    if vocabulary.hashed:
        about["hashed"] = vocabulary.hashed
    about |= {name: dict(zip(SPLITS, getattr(ranking, name), strict=True)) for name in ("missing", "present")}
    if field.target is None:
        known = ranking.rows[:, : vocabulary.values.len()].sum(1)
        unseen = (np.array(ranking.present) - known).tolist()
        about["unseen"] = dict(zip(SPLITS, unseen, strict=True))
    return about


def _named_fit(numbers: Numbers, rows: list[int]) -> tuple[str, Scaler | Piecewise, dict[str, Any]]:
    return (numbers.field.name, *fit_numbers(numbers, rows))


def _numbers(job: Preparation, field: Field, newest: dict[str, float]) -> Numbers:
    time = job.columns.ages.get(field)
    return Numbers(job.work, job.columns, field, 0.0 if time is None else newest[time.name])


def _vocabularies(job: Preparation, rankings: list[Ranking]) -> tuple[dict[str, Vocabulary], list[int]]:
    """By field; and how many values of each rates key are known. Where all do not fit, the largest are cut alike."""
    fields = {}
    for one, ranking in zip(job.columns.coded, rankings, strict=False):
        if one.field is not None:
            if ranking.values.len() == 0:
                raise SchemaError(f"column '{one.field.name}' has no value in the training rows; drop it")
            if one.field.target is None:
                fields[one.field.name] = (one.field, ranking)
    wanted = {name: _wanted(ranking, job.settings.of(field)) for name, (field, ranking) in fields.items()}
    most = {name: min(count, job.settings.of(fields[name][0]).max_ids) for name, count in wanted.items()}
    keys = [rankings[job.columns.place(key)].values.len() for key in job.columns.rate_keys]
    fits = _evenly(np.array([*most.values(), *keys], np.int64), job.memory_bytes // VALUES // VALUE_BYTES)
    found = {}
    for name, (field, ranking) in fields.items():
        known = min(most[name], fits)
        hashed = job.settings.of(field).hashed_ids if known < wanted[name] else 0
        found[name] = Vocabulary(ranking.values.head(known), hashed)
        if known < wanted[name]:
            tell_cut(name, wanted[name], found[name], "max_ids" if known == most[name] else "memory")
    return found, [min(count, fits) for count in keys]


def _wanted(ranking: Ranking, settings: EncoderSettings) -> int:
    """How many values have rows enough; where not all of them are ranked, how many values there are."""
    enough = ranking.most(settings.min_count)
    return enough if enough < ranking.values.len() else ranking.distinct


def _evenly(sizes: np.ndarray, total: int) -> int:
    """The largest size to which all may be cut so that together they are not above the total."""
    if sizes.sum() <= total:
        return int(sizes.max(initial=0))
    ascending = np.sort(sizes)
    before = np.concatenate([[0], np.cumsum(ascending)[:-1]])
    shares = (total - before) // np.arange(len(sizes), 0, -1)
    return max(int(shares[np.argmax(shares < ascending)]), 1)
