"""The models of a server by name: loaded, loaded again without a gap, and left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from pathlib import Path

from automtl.errors import SettingsError, suggestion
from automtl.serving.server.problems import Problem
from automtl.serving.server.served import Loaded, ServedModel, version_of
from automtl.serving.server.settings import ServerSettings

log = logging.getLogger("automtl.server")


def named_folders(given: Sequence[str | Path]) -> dict[str, Path]:
    """Read folders, each maybe as NAME=FOLDER, else named as the folder is. Raises SettingsError for a name twice."""
    found = dict[str, Path]()
    for one in given:
        name, separator, folder = str(one).partition("=")
        path = Path(folder if separator else str(one))
        name = name if separator else path.resolve().name
        if not name or "/" in name:
            raise SettingsError(f"'{one}': '{name}' is no name of a model; give NAME=FOLDER")
        if name in found:
            raise SettingsError(f"two models are named '{name}'; give one of them another name, as NAME=FOLDER")
        found[name] = path
    if not found:
        raise SettingsError("no model is given; name at least one folder that fit has written")
    return found


class Models:
    """The models of a server. Loading happens in a thread; a model that cannot be loaded leaves the earlier one."""

    def __init__(self, folders: dict[str, Path], settings: ServerSettings) -> None:
        """Load all models. Raises FileError for a folder that cannot be loaded.

        What folders may import, and whether they must be signed, is for all later loads as it is now.
        """
        self._context = copy_context()
        self.folders, self.settings, self.closing = folders, settings, False
        self._loading = asyncio.Lock()
        loaded = {name: self._loaded(name) for name in folders}
        self._served = {name: ServedModel(name, folders[name], one, settings) for name, one in loaded.items()}

    def _loaded(self, name: str) -> Loaded:
        events = self.settings.events
        where = None if events is None else f"{events.rstrip('/')}/{name}"
        context = self._context.copy()  # that of another thread knows nothing of it
        return context.run(Loaded.from_folder, self.folders[name], where, self.settings.label_wait_s)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._served.values()))

    @property
    def ready(self) -> bool:
        """Tell whether requests are answered: all models are loaded, and the server is not closing."""
        return not self.closing and self._served.keys() == self.folders.keys()

    def named(self, name: str) -> ServedModel:
        """Return a model. Raises Problem where there is none of this name."""
        if name not in self._served:
            known = "there are none" if not self._served else f"there are {', '.join(map(repr, self._served))}"
            raise Problem(404, f"there is no model '{name}'{suggestion(name, self._served)}; {known}")
        return self._served[name]

    async def load(self, name: str) -> ServedModel:
        """Load a model from its folder, again if it is loaded. After Problem or FileError it is as it was."""
        if name not in self.folders:
            raise Problem(404, f"there is no folder of a model '{name}'{suggestion(name, self.folders)}")
        async with self._loading:
            served = self._served.get(name)
            try:
                loaded = await asyncio.to_thread(self._loaded, name)
            except Exception:
                if served is not None:
                    served.tally.failed_loads += 1
                raise
            if served is None:
                served = self._served[name] = ServedModel(name, self.folders[name], loaded, self.settings)
            else:
                served.use(loaded)
        log.info("model '%s': version %s loaded in %.2f s", name, loaded.version, loaded.seconds)
        return served

    async def watch(self) -> None:
        """Load models again whose folders have changed, until it is cancelled."""
        tried = dict[str, str]()
        while True:
            await asyncio.sleep(self.settings.watch_s or 1.0)
            for served in self:
                version = version_of(served.folder)
                if version not in ("", served.loaded.version, tried.get(served.name)):
                    tried[served.name] = version
                    await self.try_load(served.name)

    async def try_load(self, name: str) -> None:
        """Load a model again; an error is told in the log, and the model stays as it is."""
        try:
            await self.load(name)
        except Exception as error:
            log.error("model '%s' stays as it is, since the new one cannot be loaded: %s", name, error)

    async def unload(self, name: str) -> None:
        """Answer what waits for a model, and leave it. Raises Problem where there is none of this name."""
        served = self.named(name)
        del self._served[name]
        await asyncio.to_thread(served.close)

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        self.closing = True
        for served in self:
            served.close()
