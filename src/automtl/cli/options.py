"""Options that several commands share. A parameter whose type is an `Options` class stands for all its fields."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import Parameter, Signature, get_annotations, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_type_hints

import typer

from automtl.cli.verbosity import quietly, verbosely
from automtl.errors import SettingsError
from automtl.system.address import is_address, without_file
from automtl.system.signature import requiring
from automtl.system.trust import allowing

if TYPE_CHECKING:
    from automtl.comparison.compare import ComparisonSettings
    from automtl.config import Settings
    from automtl.tables.columns import ColumnRoles
    from automtl.tables.schema import Schema

Command = Callable[[Callable[..., None]], Callable[..., None]]


def require_table(source: str | None) -> str | None:
    """Return the path or address of a table.

    Raises TableError where nothing is at a path, before anything heavy is imported.
    """
    source = without_file(source)
    if source is not None and not is_address(source) and not Path(source).exists():
        from automtl.tables.reading.paths import table_paths

        table_paths(source)
    return source


def require_model(folder: Path) -> Path:
    """Return the path of a folder. Raises FileError where there is none, before anything heavy is imported."""
    if not folder.is_dir():
        from automtl.system.manifest import MODEL

        MODEL.read(folder)
    return folder


TableArgument = Annotated[
    str,
    typer.Argument(
        help="CSV, Parquet or Arrow file, folder, glob or address.", show_default=False, callback=require_table
    ),
]
ModelArgument = Annotated[
    Path, typer.Argument(help="A run folder written by fit.", show_default=False, callback=require_model)
]
TableOut = Annotated[Path, typer.Option("--out", help="A .parquet, .csv or .arrow file.", show_default=False)]
JsonOption = Annotated[Path | None, typer.Option("--out", help="Write the results here, as JSON.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of tables.")]
UnknownOption = Annotated[bool, typer.Option("--allow-unknown", help="Score even if no id of a key column is known.")]
LogOption = Annotated[
    str | None, typer.Option("--history", help="A log: all histories come from it, as they were at each row's time.")
]
AllowOption = Annotated[
    list[str],
    typer.Option("--allow", metavar="PACKAGE", help="A package of your own that the folder's names may import."),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Refuse the model unless it is signed by the key in this file."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Tell results, warnings and errors alone.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell every evaluation in a line of its own.")]
AddressOption = Annotated[
    str | None, typer.Option(help="Of a Ray cluster: ray://HOST:PORT, HOST:PORT, auto, or local for one here.")
]
PrecisionOption = Annotated[
    Literal["full", "auto"], typer.Option(help="Of matrix products; auto: bf16 where supported.")
]


@dataclass(frozen=True)
class Options:
    """The base of frozen dataclasses whose fields are annotated as the options of a command.

    `title`: over those that a class adds, in the help.
    """

    title: ClassVar[str]


@dataclass(frozen=True)
class Columns(Options):
    """The options that name columns of a labelled table."""

    title: ClassVar[str] = "Columns"
    task: Annotated[list[str] | None, typer.Option("--task", help="A label column; give one or more.")] = None
    drop: Annotated[list[str] | None, typer.Option("--drop", help="A column that is no input.")] = None
    split_column: Annotated[str | None, typer.Option(help="Column that says train, val or test.")] = None
    time: Annotated[str | None, typer.Option("--time", help="Time column.")] = None
    group: Annotated[str | None, typer.Option("--group", help="Column for GAUC and the split by user.")] = None
    weight: Annotated[str | None, typer.Option("--weight", help="Sample weights.")] = None
    outcome: Annotated[
        list[str] | None, typer.Option("--outcome", help="A column known only afterwards, such as play time.")
    ] = None
    label_delay: Annotated[
        list[str] | None, typer.Option("--label-delay", help="When labels are known: 1h, or click=1d for one.")
    ] = None
    no_history: Annotated[bool, typer.Option("--no-history", help="No inputs from earlier rows.")] = False
    frozen_history: Annotated[
        bool, typer.Option("--frozen-history", help="Inputs from earlier training rows alone.")
    ] = False

    @property
    def tasks(self) -> list[str]:
        """The label columns. Raises SettingsError if there is none."""
        if not self.task:
            raise SettingsError("no task given; name at least one label column with --task")
        return self.task

    @property
    def roles(self) -> ColumnRoles:
        """The roles of columns that are neither tasks nor inputs. Raises SettingsError for options that contradict."""
        from automtl.tables.columns import ColumnRoles
        from automtl.tables.history import read_delays

        if self.no_history and self.frozen_history:
            raise SettingsError("--no-history and --frozen-history are both given; leave out one of them")
        history = False if self.no_history else "frozen" if self.frozen_history else None
        return ColumnRoles(
            tuple(self.drop or ()), self.split_column, self.weight, self.group, self.time, tuple(self.outcome or ()),
            read_delays(self.label_delay or ()), history,
        )  # fmt: skip


@dataclass(frozen=True)
class Rows(Columns):
    """The options that say how to train on a labelled table: columns, schema, settings."""

    title: ClassVar[str] = "Schema, split and settings"
    schema: Annotated[Path | None, typer.Option("--schema", help="Schema file; see describe --out.")] = None
    split: Annotated[str | None, typer.Option(help="random, time or user.", show_default="random")] = None
    config: Annotated[Path | None, typer.Option(help="Settings as TOML or YAML, or a run's settings.json.")] = None

    @property
    def tasks(self) -> list[str]:
        """The label columns, or none where a schema names them. Raises SettingsError if there is neither."""
        if not self.task and self.schema is None:
            raise SettingsError("no task given; name at least one label column with --task, or give a --schema")
        return self.task or []

    def tasks_of(self, table: str) -> list[str]:
        """Return the label columns, or none for all tasks of a prepared table."""
        from automtl.dataset.prepared import is_prepared

        return self.task or [] if is_prepared(table) else self.tasks

    def read_schema(self) -> Schema | None:
        """Read the schema file, if one is given."""
        from automtl.tables.schema import Schema

        return None if self.schema is None else Schema.read(self.schema)

    def settings(self, **changes: Any) -> Settings:
        """Read the settings file and apply the options of the command line; None means no change."""
        from automtl.config import make_settings, read_settings

        settings = read_settings(self.config, given(**changes))
        if self.split is None:
            return settings
        return replace(settings, split=make_settings({"split": {"method": self.split}}, "--split").split)

    def seed(self, given: int | None) -> int:
        """Return the seed that was given, or that of the run whose settings are read, or 0."""
        from automtl.config import recorded_seed

        return given if given is not None else 0 if self.config is None else recorded_seed(self.config)


@dataclass(frozen=True)
class ComparisonOptions(Rows):
    """The options that all candidates of a comparison share."""

    title: ClassVar[str] = "Comparison"
    seeds: Annotated[int, typer.Option(min=1, help="Searches and trainings of each model.")] = 5
    trials: Annotated[int, typer.Option(min=1, help="Settings tried for each model; 1: the defaults.")] = 6
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; else one for each core.")] = None
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of a random split.")] = 0
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Discard earlier results there.")] = False
    hang_after: Annotated[str, typer.Option(help="Without progress for so long, a process hangs and is ended.")] = "1h"
    address: AddressOption = None

    def comparison(self) -> ComparisonSettings:
        """Make the settings of the comparison."""
        roles, schema, settings = self.roles, self.read_schema(), self.settings()  # before torch is imported
        from automtl.comparison.compare import ComparisonSettings

        return ComparisonSettings(
            roles, schema, settings, self.seeds, self.trials, self.jobs, self.split_seed,
            self.overwrite, duration_of("--hang-after", self.hang_after) or 0.0, self.address,
        )  # fmt: skip


def duration_of(option: str, text: str | None) -> float | None:
    """Read the duration of an option. Raises SettingsError that names the option."""
    from automtl.errors import SchemaError
    from automtl.tables.durations import as_seconds

    try:
        seconds = None if text is None else as_seconds(text)
    except SchemaError as error:
        raise SettingsError(f"{option}: {error}") from None
    if seconds == 0:
        raise SettingsError(f"{option} {text}: nothing can be done in no time; give a duration above 0, such as 10m")
    return seconds


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value not in (None, {})}


def sharing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field of its parameters that are Options."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Options)}

    @wraps(command)
    def flat(**given: Any) -> None:
        made = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**given, **made)

    places = []
    for name, own in signature(command).parameters.items():
        shared = signature(groups[name]).parameters if name in groups else {name: own}
        types = _titled(groups[name]) if name in groups else hints
        places += [place.replace(kind=Parameter.KEYWORD_ONLY, annotation=types[n]) for n, place in shared.items()]
    flat.__signature__ = Signature(places)  # type: ignore[attr-defined]
    return flat


def _titled(group: type[Options]) -> dict[str, Any]:
    """Return the annotations of the fields of a group, each under the title of the class that adds it."""
    found = get_type_hints(group, include_extras=True)
    for owner in (one for one in reversed(group.__mro__) if issubclass(one, Options)):
        for name in get_annotations(owner):
            for option in getattr(found[name], "__metadata__", ()):
                option.rich_help_panel = owner.title
    return found


def telling(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --quiet and --verbose."""
    quiet = Parameter("quiet", Parameter.KEYWORD_ONLY, default=False, annotation=QuietOption)
    verbose = Parameter("verbose", Parameter.KEYWORD_ONLY, default=False, annotation=VerboseOption)
    return _within(quietly, quiet)(_within(verbosely, verbose)(command))


def loading(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that reads a model, which may come from somebody else, the options --allow and --key."""
    return _within(requiring, Parameter("key", Parameter.KEYWORD_ONLY, default=None, annotation=KeyOption))(
        allowing_code(command)
    )


def allowing_code(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that reads a folder, which may come from somebody else, the option --allow."""
    return _within(allowing, Parameter("allow", Parameter.KEYWORD_ONLY, default=[], annotation=AllowOption))(command)


def _within(context: Callable[[Any], AbstractContextManager[None]], option: Parameter) -> Command:
    """Give a command an option, and run it in the context that the option's value makes."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)

        @wraps(command)
        def inside(**given: Any) -> None:
            with context(given.pop(option.name)):
                command(**given)

        places = [
            own.replace(
                kind=Parameter.KEYWORD_ONLY,
                annotation=hints[name] if isinstance(own.annotation, str) else own.annotation,
            )
            for name, own in signature(command).parameters.items()
        ]
        inside.__signature__ = Signature([*places, option])  # type: ignore[attr-defined]
        return inside

    return decorated
