"""One model of a server: what was loaded, and the thread that scores with it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from automtl.errors import AutomtlError
from automtl.predictor import Predictor
from automtl.serving.online import OnlineHistories
from automtl.serving.server.batching import Batcher
from automtl.serving.server.columns import Signature
from automtl.serving.server.rows import GivenRows
from automtl.serving.server.scoring import Row, Scored, UnknownIds, score
from automtl.serving.server.settings import ServerSettings
from automtl.serving.server.tally import Tally
from automtl.system.manifest import MANIFEST
from automtl.system.signature import SIGNATURE, is_signed

WARM_ROWS = 4096  # that are encoded when a model is loaded, so that first requests are as quick as later ones
log = logging.getLogger("automtl.server")


@dataclass(frozen=True)
class Loaded:
    """A predictor as it was loaded. `version`: a digest of the folder's content; `at`: seconds since 1970."""

    predictor: Predictor
    signature: Signature
    unknown: UnknownIds
    version: str
    seconds: float
    at: float = field(default_factory=time.time)
    online: OnlineHistories | None = None

    @property
    def current(self) -> Predictor:
        """The predictor with the histories that are known now."""
        return self.predictor if self.online is None else self.online.predictor(self.predictor)

    @staticmethod
    def from_folder(folder: Path, events: str | None = None, label_wait_s: float = 3600.0) -> Loaded:
        """Load and verify a folder, score a row, and let the encoder remember frequent values. Raises FileError.

        `events`: where those of its histories are kept.
        """
        start = time.perf_counter()
        version = version_of(folder)
        predictor = Predictor.load(folder)
        signature, unknown = Signature.of(predictor), UnknownIds.of(predictor.encoder)
        try:
            score(predictor, unknown, [signature.example])
            predictor.encode_rows(signature.frequent(WARM_ROWS))
            predictor.warm_up()
        except AutomtlError as error:
            log.warning("model '%s': its example row was not scored: %s", folder, error)
        if version_of(folder) != version:  # it was replaced meanwhile
            return Loaded.from_folder(folder, events, label_wait_s)
        online = None
        if events is not None and OnlineHistories.suit(predictor):
            online = OnlineHistories.open(events, predictor, wait=label_wait_s)
        return Loaded(predictor, signature, unknown, version, time.perf_counter() - start, online=online)


def version_of(folder: Path) -> str:
    """Return a digest of a saved model's content: of its manifest, which has the checksums of all files, and signature.

    So a new model that is signed after it was found and refused is loaded then.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        if is_signed(folder):
            content += (folder / SIGNATURE).read_bytes()
        return hashlib.sha256(content).hexdigest()[:12]
    except OSError:
        return ""  # loading says what is wrong


class ServedModel:
    """A model under a name, whose predictor may be replaced while it serves."""

    def __init__(self, name: str, folder: Path, loaded: Loaded, settings: ServerSettings) -> None:
        self.name, self.folder, self.loaded, self.settings = name, folder, loaded, settings
        self.tally = Tally()
        self.batcher: Batcher[Answer] = Batcher(self._score, settings, name)

    async def score(self, rows: GivenRows, loaded: Loaded) -> Answer:
        """Score the rows of a request by what was loaded when it came, maybe together with other requests.

        Raises Problem or an AutomtlError.
        """
        return await self.batcher.submit(rows, loaded, self.settings.timeout_s)

    def use(self, loaded: Loaded) -> None:
        """Score with another loaded predictor from the next batch on."""
        self.loaded = loaded

    def close(self) -> None:
        """Answer what waits, and end the thread."""
        self.batcher.close()
        if self.loaded.online is not None:
            self.loaded.online.close()

    def _score(self, loaded: Loaded, requests: list[Sequence[Row]]) -> list[Answer]:
        begun = time.perf_counter()
        scored, answers, start = score(loaded.current, loaded.unknown, list(chain.from_iterable(requests))), [], 0
        self.tally.add(scored, time.perf_counter() - begun)
        for rows in requests:
            answers.append(Answer(scored.take(slice(start, start + len(rows))), loaded))
            start += len(rows)
        return answers


@dataclass(frozen=True)
class Answer:
    """The scores of a request, and the predictor that made them."""

    scored: Scored
    loaded: Loaded
