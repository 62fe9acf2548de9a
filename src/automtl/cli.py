"""Arguments in, recipes called, messages out. No logic; heavy modules are imported where a command needs them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from automtl._version import __version__
from automtl.errors import AutomtlError, SettingsError
from automtl.models.names import MODEL_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from automtl.config import Settings

app = typer.Typer(
    help="Search, train and test a multi-task recommendation model for a table of logged behaviour.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip

data_app = typer.Typer(help="Public datasets: what is known, and tables of their raw files.", no_args_is_help=True)
app.add_typer(data_app, name="data")

TableArgument = Annotated[str, typer.Argument(help="CSV, Parquet or Arrow file, folder or glob.", show_default=False)]
ModelArgument = Annotated[Path, typer.Argument(help="A run folder written by fit.", show_default=False)]
TaskOption = Annotated[list[str] | None, typer.Option("--task", help="A label column; give one or more.")]
DropOption = Annotated[list[str] | None, typer.Option("--drop", help="A column that is no input.")]
SplitColumnOption = Annotated[str | None, typer.Option(help="Column of train, val, test.")]
TimeOption = Annotated[str | None, typer.Option("--time", help="Time column.")]
GroupOption = Annotated[str | None, typer.Option("--group", help="Column for GAUC and the split by user.")]
WeightOption = Annotated[str | None, typer.Option("--weight", help="Sample weights.")]
SchemaOption = Annotated[Path | None, typer.Option("--schema", help="Schema file; see describe --out.")]

SplitOption = Annotated[str | None, typer.Option(help="random, time or user.")]
ConfigOption = Annotated[Path | None, typer.Option(help="Settings as TOML or YAML.")]
COMPARED = "automtl,shared-bottom,mmoe,ple"


def _version(value: bool) -> None:
    if value:
        typer.echo(f"automtl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Search, train and test a multi-task recommendation model for a table of logged behaviour."""


@app.command("fit")
def fit_command(
    table: TableArgument,
    task: TaskOption = None,
    drop: DropOption = None,
    split_column: SplitColumnOption = None,
    split: SplitOption = None,
    time: TimeOption = None,
    group: GroupOption = None,
    weight: WeightOption = None,
    schema: SchemaOption = None,
    config: ConfigOption = None,
    model: Annotated[str | None, typer.Option(help=f"{', '.join(MODEL_NAMES)}.")] = None,
    strategy: Annotated[str | None, typer.Option(help="progressive, automtl, darts, darts-minus or random.")] = None,
    schedule: Annotated[str, typer.Option(help="bounded, or published: the paper's schedule.")] = "bounded",
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/automtl"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run there.")] = False,
    tracker: Annotated[list[str] | None, typer.Option("--tracker", help="tensorboard or mlflow; one or both.")] = None,
    tracker_folder: Annotated[Path | None, typer.Option(help="Where trackers write; runs/tracking.")] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow's server; files in that folder without it.")] = None,
) -> None:
    """Search an architecture for a table, train it, test it, save it."""
    from dataclasses import replace

    from automtl.config import make_settings
    from automtl.data.schema import Schema
    from automtl.recipes import Roles, fit_table
    from automtl.search.settings import published

    settings = _settings(config, split)
    if schedule not in ("bounded", "published"):
        raise SettingsError(f"--schedule '{schedule}': expected 'bounded' or 'published'")
    if schedule == "published":
        settings = replace(settings, search=published())
    settings = replace(settings, model=model or settings.model, strategy=strategy or settings.strategy)
    trackers = make_settings({"trackers": tracker or settings.trackers}, "--tracker").trackers
    folder, uri = str(tracker_folder or settings.tracker_folder), tracking_uri or settings.tracking_uri
    settings = replace(settings, trackers=trackers, tracker_folder=folder, tracking_uri=uri)
    if not task and schema is None:
        raise SettingsError("no task given; name at least one label column with --task, or give a --schema")
    roles = Roles(tuple(drop or ()), split_column, weight, group, time)
    found = None if schema is None else Schema.read(schema)
    with _Live() as live:
        run = fit_table(
            table, task or (), roles=roles, schema=found, settings=settings, seed=seed, out=out, overwrite=overwrite,
            listen=live.listen, warn=_warn,
        )  # fmt: skip
    _show_run(run.metrics, run.predictor.spec.architecture, run.predictor.schema.task_names)
    typer.echo(f"files: {out}")
    if settings.trackers:
        typer.echo(f"tracked: {settings.tracking_uri or settings.tracker_folder}")


@app.command("compare")
def compare_command(
    table: TableArgument,
    task: TaskOption = None,
    models: Annotated[str, typer.Option(help="Names, with commas between; or paper, or all.")] = COMPARED,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each model.")] = 5,
    trials: Annotated[int, typer.Option(min=1, help="Settings tried for each model; 1: the defaults.")] = 6,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one a core if not given.")] = None,
    reference_model: Annotated[str | None, typer.Option(help="Held against the others; else the searched one.")] = None,
    drop: DropOption = None,
    split_column: SplitColumnOption = None,
    split: SplitOption = None,
    split_seed: Annotated[int, typer.Option(help="Of a split at random.")] = 0,
    time: TimeOption = None,
    group: GroupOption = None,
    weight: WeightOption = None,
    schema: SchemaOption = None,
    config: ConfigOption = None,
    out: Annotated[Path, typer.Option(help="The folder of the comparison.")] = Path("runs/comparison"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Discard an earlier comparison there.")] = False,
) -> None:
    """Hold models against each other under equal conditions, and say what is more than noise.

    An interrupted comparison goes on where it stopped when the command is given again.
    """
    from automtl.data.schema import Schema
    from automtl.recipes import Roles, compare_table

    settings = _settings(config, split)
    if not task and schema is None:
        raise SettingsError("no task given; name at least one label column with --task, or give a --schema")
    with _until_stopped(out) as standing:
        found = compare_table(
            table, task or (), models=[name.strip() for name in models.split(",")],
            roles=Roles(tuple(drop or ()), split_column, weight, group, time),
            schema=None if schema is None else Schema.read(schema), settings=settings, seeds=seeds, trials=trials,
            jobs=jobs, split_seed=split_seed, reference_model=reference_model, out=out, overwrite=overwrite,
            audience=standing.hear,
        )  # fmt: skip
    failures = _show_comparison(found)
    typer.echo(f"files: {out}")
    if failures:
        raise typer.Exit(1)


@app.command("reproduce")
def reproduce_command(
    name: Annotated[str, typer.Argument(help="table3, table4, table5, figure3 ... figure6.", show_default=False)],
    table: TableArgument,
    task: TaskOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Searches and trainings of each contender.")] = 5,
    trials: Annotated[int, typer.Option(min=1, help="Settings tried for each model; 1: the defaults.")] = 6,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one a core if not given.")] = None,
    published_schedule: Annotated[
        bool, typer.Option("--published-schedule", help="Search as the paper does, many times slower.")
    ] = False,
    drop: DropOption = None,
    split_column: SplitColumnOption = None,
    split: SplitOption = None,
    split_seed: Annotated[int, typer.Option(help="Of a split at random.")] = 0,
    time: TimeOption = None,
    group: GroupOption = None,
    weight: WeightOption = None,
    schema: SchemaOption = None,
    config: ConfigOption = None,
    out: Annotated[Path, typer.Option(help="The folder of reproductions and of what they ran.")] = Path("runs/paper"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Discard what an earlier one ran there.")] = False,
) -> None:
    """A table or figure of the paper, on your table: on screen, as JSON, as an HTML page and SVG pictures.

    An interrupted one goes on where it stopped when the command is given again. Those with the same --out share jobs.
    """
    from automtl.data.schema import Schema
    from automtl.recipes import Roles
    from automtl.recipes.reproduce import find_reproduction, reproduce

    chosen, settings = find_reproduction(name), _settings(config, split)
    if not task and schema is None:
        raise SettingsError("no task given; name at least one label column with --task, or give a --schema")
    with _until_stopped(out) as standing:
        found = reproduce(
            chosen, table, task or (), roles=Roles(tuple(drop or ()), split_column, weight, group, time),
            schema=None if schema is None else Schema.read(schema), settings=settings, seeds=seeds, trials=trials,
            jobs=jobs, split_seed=split_seed, published_schedule=published_schedule,
            out=out, overwrite=overwrite, audience=standing.hear,
        )  # fmt: skip
    for title, header, rows in found.tables:
        _show_table(title, header, rows)
    for sentence in found.values["sentences"]:
        typer.echo(sentence)
    typer.echo(f"in the paper: {found.values['paper']}")
    for contender, message in found.values["failed"].items():
        typer.echo(f"{contender} failed: {message}", err=True)
    typer.echo(f"files: {', '.join(str(path) for path in found.files[:2])} and {len(found.files) - 2} pictures")
    if found.values["failed"]:
        raise typer.Exit(1)


@app.command("evaluate")
def evaluate_command(model: ModelArgument, table: TableArgument) -> None:
    """Metrics of a saved model on a labelled table."""
    from automtl.predictor import Predictor

    _show_metrics(Predictor.load(model).evaluate(table), "metrics")


@app.command("predict")
def predict_command(
    model: ModelArgument,
    table: TableArgument,
    out: Annotated[Path, typer.Option(help="A .parquet, .csv or .arrow file.", show_default=False)],
) -> None:
    """Score a table: one column a task, in the table's row order."""
    from automtl.data.table import write_table
    from automtl.predictor import Predictor

    scores = Predictor.load(model).predict(table)
    write_table(scores, out)
    typer.echo(f"{scores.height} rows scored: {out}")


@app.command("inspect")
def inspect_command(model: ModelArgument) -> None:
    """The architecture, parameters and metrics of a saved model."""
    from automtl.models.network import count_parameters
    from automtl.predictor import Predictor, read_json

    predictor = Predictor.load(model)
    if (model / "metrics.json").is_file():
        metrics = read_json(model, "metrics")
        _show_run(metrics, predictor.spec.architecture, predictor.schema.task_names)
    else:
        typer.echo(f"{predictor.spec.model}, {count_parameters(predictor.network):,} parameters")


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="A folder written by fit or compare.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The page; report.html unless --pictures is given.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="A folder for the pictures as SVG files.")] = None,
    png: Annotated[bool, typer.Option("--png", help="The pictures as PNG files, too.")] = False,
) -> None:
    """One HTML page about a run or comparison, or its pictures as files."""
    from automtl.recipes.report import report_folder

    written = report_folder(folder, out, pictures, png=png)
    typer.echo(f"report: {written[-1]}" if pictures is None else f"{len(written)} files: {pictures}")


@app.command("importance")
def importance_command(
    model: ModelArgument,
    table: TableArgument,
    repeats: Annotated[int, typer.Option(min=1, help="Shuffles of each column.")] = 3,
    rows: Annotated[int, typer.Option(min=2, help="Drawn from the table.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the rows and the shuffles.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write it here, as JSON.")] = None,
) -> None:
    """By how much each task ranks worse when one column is shuffled, on labelled rows."""
    import json

    from automtl.data.files import write_text
    from automtl.recipes.importance import column_importance, importance_rows

    found = column_importance(model, table, repeats=repeats, rows=rows, seed=seed)
    _show_table("drop of AUC, or rise of RMSE, when a column is shuffled", *importance_rows(found))
    if out is not None:
        write_text(out, json.dumps([one.to_dict() for one in found], indent=1))
        typer.echo(f"importance: {out}")


@app.command("describe")
def describe_command(
    table: TableArgument,
    task: TaskOption = None,
    drop: DropOption = None,
    split_column: SplitColumnOption = None,
    time: TimeOption = None,
    group: GroupOption = None,
    weight: WeightOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the schema here, to be edited.")] = None,
) -> None:
    """The schema inferred for a table, and each column's role."""
    from automtl.data.infer import ColumnSummary, infer_schema, summarize
    from automtl.data.table import read_table
    from automtl.errors import SchemaError

    if not task:
        raise SettingsError("no task given; name at least one label column with --task")
    frame = read_table(table)
    schema = infer_schema(
        frame, task, drop=drop or (), split=split_column, weight=weight, group=group, time=time
    )  # fmt: skip
    lines: list[ColumnSummary] = summarize(frame, schema)
    rows = [[s.name, s.type, s.role, f"{s.distinct:,}", f"{s.missing:,}", s.note] for s in lines]
    _show_table(f"{frame.height:,} rows", ["column", "type", "role", "distinct", "missing", "note"], rows)
    if out is not None:
        try:
            out.write_text(schema.text(), encoding="utf-8")
        except OSError as error:
            raise SchemaError(f"'{out}' cannot be written: {error.strerror}") from None
        typer.echo(f"schema: {out}")


@app.command("check")
def check_command(
    table: TableArgument,
    task: TaskOption = None,
    drop: DropOption = None,
    split_column: SplitColumnOption = None,
    split: Annotated[str | None, typer.Option(help="random, time or user.")] = None,
    time: TimeOption = None,
    group: GroupOption = None,
    weight: WeightOption = None,
    schema: SchemaOption = None,
    seed: Annotated[int, typer.Option(help="Of the split and the sampled rows.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the findings here, as JSON.")] = None,
) -> None:
    """Look for what spoils a model: inputs that tell the answer, drift, duplicated rows, constant columns."""
    import json

    from automtl.config import make_settings
    from automtl.data.files import write_text
    from automtl.data.schema import Schema
    from automtl.errors import SettingsError
    from automtl.recipes import Roles, check_table

    if not task and schema is None:
        raise SettingsError("no task given; name at least one label column with --task, or give a --schema")
    settings = make_settings({"split": {"method": split or "random"}}, "--split")
    roles = Roles(tuple(drop or ()), split_column, weight, group, time)
    read = None if schema is None else Schema.read(schema)
    found = check_table(table, task or (), roles=roles, schema=read, settings=settings, seed=seed)
    if found:
        rows = [[f.column, f.level, f.check, f.evidence, f.remedy] for f in found]
        _show_table(f"{len(found)} findings", ["column", "level", "check", "evidence", "what to do"], rows, "left")
    else:
        typer.echo("nothing found")
    if out is not None:
        write_text(out, json.dumps([finding.to_dict() for finding in found], indent=1))
        typer.echo(f"findings: {out}")


@data_app.command("list")
def data_list_command(
    name: Annotated[str | None, typer.Argument(help="One dataset, to be described in full.")] = None,
) -> None:
    """Public datasets that `data prepare` knows; with a NAME, its source, files, recipe and licence."""
    from automtl.data.catalog import DATASETS, find_dataset

    if name is None:
        rows = [[d.name, d.title, f"{next(iter(d.expected.values()))['rows']:,}", d.licence] for d in DATASETS.values()]
        _show_table("public datasets", ["name", "title", "rows", "licence"], rows, "left")
        return
    for line in find_dataset(name).describe():
        typer.echo(line)


@data_app.command("prepare")
def data_prepare_command(
    name: Annotated[str, typer.Argument(help="A name of `data list`.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where the publisher's files are, unpacked.", show_default=False)],
    out: Annotated[Path, typer.Option(help="A .parquet file; its schema is written beside it.", show_default=False)],
    variant: Annotated[str | None, typer.Option(help="One of those that `data list NAME` shows.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A count that differs from the published is an error.")
    ] = False,
) -> None:
    """Make a table and its schema of a publisher's raw files."""
    from automtl.data.catalog import find_dataset, prepare

    found = prepare(find_dataset(name), folder, out, variant, strict=strict)
    for difference in found.differences:
        typer.echo(f"warning: {difference}; are the files complete, and of this release?", err=True)
    rates = ", ".join(f"{task} {rate:.4g}" for task, rate in found.rates.items())
    typer.echo(f"{found.rows:,} rows ({rates}): {found.table}")
    typer.echo(f"next: automtl fit {found.table} --schema {found.schema}")


@app.command("synthesize")
def synthesize_command(
    out: Annotated[Path, typer.Option(help="A .parquet, .csv or .arrow file.", show_default=False)],
    rows: Annotated[int, typer.Option(min=100)] = 20_000,
    relatedness: Annotated[float, typer.Option(min=0, max=1)] = 0.2,
    interaction: Annotated[float, typer.Option(min=0, max=1)] = 0.3,
    noise: Annotated[float, typer.Option(min=0)] = 0.5,
    seed: int = 0,
) -> None:
    """Write a log with a known answer: tasks click and like share one truth, buy and cart another."""
    from automtl.data.synthetic import synthetic_log
    from automtl.data.table import write_table

    write_table(synthetic_log(rows, relatedness=relatedness, interaction=interaction, noise=noise, seed=seed), out)
    typer.echo(f"{rows:,} rows: {out}")


def _warn(findings: tuple[Any, ...], shown: int = 5) -> None:
    """Warnings of the data checks on standard error, a line each; notes only by their number."""
    warnings = [finding for finding in findings if finding.level == "warning"]
    for finding in warnings[:shown]:
        typer.echo(f"warning: '{finding.column}' {finding.evidence}; {finding.remedy}", err=True)
    left = len(findings) - len(warnings[:shown])
    if left:
        typer.echo(f"the data checks have {left} more findings, 'automtl check' shows them", err=True)


class _Live:
    """Progress on a terminal: stage, time left, loss, AUC by task, strongest candidates. Silent elsewhere."""

    def __enter__(self) -> _Live:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[news]}"),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self.stages: dict[str, Any] = {}
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def listen(self, progress: Any) -> None:
        """Show one event."""
        if progress.stage not in self.stages:
            self.stages[progress.stage] = self.bar.add_task(progress.stage, total=progress.total, news="")
        task = self.stages[progress.stage]
        self.bar.update(task, completed=progress.step)
        if progress.loss is not None:
            self.bar.update(task, news=_news(progress))


def _news(progress: Any) -> str:
    parts = [f"loss {progress.loss:.4f}", *(f"{task} {value:.4f}" for task, value in progress.auc.items())]
    return "  ".join([*parts, *([" ".join(progress.strongest)] if progress.strongest else [])])


class _Standing:
    """How far a comparison is: one line that changes on a terminal, a line for each ended job elsewhere."""

    def __enter__(self) -> _Standing:
        from rich.console import Console
        from rich.live import Live

        self.last: Any = None
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.live = Live("", console=self.console, transient=True) if self.console.is_terminal else None
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def hear(self, standing: Any) -> None:
        """Show one standing."""
        self.last = standing
        if standing.failure is not None:
            self.console.print(f"{standing.ended}: failed, {standing.failure}", markup=False)
        if self.live is not None:
            self.live.update(f"{self.text()}; now {', '.join(standing.running)}")
        elif standing.ended is not None:
            self.console.print(f"{self.text()}; {standing.ended} ended", markup=False)

    def text(self) -> str:
        """Jobs done, and the time left."""
        from automtl.report.comparison_text import duration

        if self.last is None:
            return "no job is done"
        left = "" if self.last.seconds_left is None else f", about {duration(self.last.seconds_left)} left"
        return f"{self.last.done} of {self.last.total} jobs are done{left}"


@contextmanager
def _until_stopped(out: Path) -> Iterator[_Standing]:
    """Tells how far it is; Ctrl-C ends it with a word on how to go on."""
    standing = _Standing()
    try:
        with standing:
            yield standing
    except KeyboardInterrupt:
        typer.echo(f"stopped; {standing.text()} in {out}: the same command goes on from there", err=True)
        raise typer.Exit(130) from None


def _settings(config: Path | None, split: str | None) -> Settings:
    """Settings of the file, with the split of the command line."""
    from dataclasses import replace

    from automtl.config import make_settings, read_settings

    settings = read_settings(config)
    if split is None:
        return settings
    return replace(settings, split=make_settings({"split": {"method": split}}, "--split").split)


def _show_comparison(found: dict[str, Any]) -> list[str]:
    """Print it; what failed."""
    from automtl.report.comparison_text import comparison_tables, failures

    for title, header, rows in comparison_tables(found):
        _show_table(title, header, rows)
    for verdict in found["verdicts"].values():
        typer.echo(verdict["sentence"])
    typer.echo(found["sentence"])
    lines = failures(found)
    for line in lines:
        typer.echo(line, err=True)
    return lines


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def _show_table(
    title: str, header: list[str], rows: list[list[str]], justify: Literal["left", "right"] = "right"
) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _show_metrics(metrics: dict[str, Any], title: str) -> None:
    from automtl.report.text import metric_rows, number, undefined

    _show_table(f"{title}, MTL-Loss {number(metrics['mtl_loss'])}", *metric_rows(metrics))
    if "funnel" in metrics:
        _show_table("funnel", *metric_rows({"tasks": metrics["funnel"]}))
    for line in undefined(metrics):
        typer.echo(line)


def _show_run(metrics: dict[str, Any], architecture: Any, tasks: tuple[str, ...]) -> None:
    if architecture is not None:
        typer.echo(architecture.draw(tasks))
    _show_metrics(metrics["validation"], "validation rows")
    _show_metrics(metrics["test"], "test rows")
    seconds = metrics["seconds"]
    typer.echo(
        f"inputs: {metrics['variant']}; {metrics['parameters']:,} parameters; search {seconds['search']:.0f} s, "
        f"training {seconds['training']:.0f} s, total {seconds['total']:.0f} s; "
        f"peak memory {metrics['peak_memory_bytes'] / 2**30:.1f} GiB"
    )


def main() -> None:
    """The command: a user's mistake is one line on standard error and exit code 2; a warning is one line, too."""
    warnings.formatwarning = lambda message, *rest, **named: f"warning: {message}\n"
    try:
        app()
    except AutomtlError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was written", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
