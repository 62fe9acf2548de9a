"""Serving takes a saved model from its folder to production."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automtl.errors import SettingsError

if TYPE_CHECKING:
    from automtl.serving.server.settings import ServerSettings

__all__ = ["asgi_app", "require_server"]


def asgi_app(models: Sequence[str | Path], settings: ServerSettings | None = None, token: str | None = None) -> Any:
    """Return an ASGI application that serves saved models, to be run by any ASGI server or mounted in another app.

    `models`: folders, each maybe as NAME=FOLDER, else named as the folder is. `token`: clients must give it, in the
    header `Authorization: Bearer TOKEN`. The application keeps one thread a model, which ends with its lifespan; where
    it is mounted, and so has none, call `app.state.models.close()` at the end. Raises FileError for a folder that
    cannot be loaded, SettingsError for names that are wrong or a package that is missing.
    """
    require_server()
    from automtl.serving.server.app import make_app
    from automtl.serving.server.models import Models, named_folders
    from automtl.serving.server.settings import ServerSettings

    return make_app(Models(named_folders(models), settings or ServerSettings()), token)


def require_server() -> None:
    """Raise SettingsError where a package that the server needs is missing."""
    from importlib.util import find_spec

    for package in ("fastapi", "uvicorn", "orjson", "prometheus_client"):
        if find_spec(package) is None:
            raise SettingsError(f"the server needs '{package}', which is not installed; pip install 'automtl[serve]'")
