"""What all commands share: data from the command line, progress on stderr, results on stdout."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from shortlist.data.dataset import Dataset
from shortlist.data.movielens import movielens
from shortlist.errors import ConfigError, DataError

MOVIELENS = ("ml-100k", "ml-1m")

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A .csv or .parquet file of interactions, ml-100k or ml-1m.")
]
ItemsOption = Annotated[Path | None, typer.Option("--items", help="A file of item attributes.")]
UsersOption = Annotated[Path | None, typer.Option("--users", help="A file of user attributes.")]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="STANDARD=YOURS", help="Another column name, e.g. user_id=customer."),
]
FromOption = Annotated[
    Path | None, typer.Option("--from", metavar="FOLDER", help="MovieLens: a local folder or zip instead of fetching.")
]
ConfigOption = Annotated[str, typer.Option("--config", help="A preset (fast, tutorial) or a TOML file.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Of every random choice.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Of the trees' trainer; 1 gives the same digest twice.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


def err() -> Console:
    """Where progress and messages go; made anew so that a redirected stderr is respected."""
    return Console(stderr=True, highlight=False)


def say(sentence: str) -> None:
    """One step of long work, as a line on stderr."""
    err().print(f"[dim]· {escape(sentence)}[/dim]", soft_wrap=True)


def show(text: str) -> None:
    """A result, on stdout, as it is."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def show_json(document: Any) -> None:
    show(json.dumps(document, ensure_ascii=False, indent=2, default=str))


@contextmanager
def download_bar(label: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A progress bar for bytes where stderr is a terminal, else nothing."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    with Progress(TextColumn(label), BarColumn(), DownloadColumn(), console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def read_data(
    data: str, items: Path | None, users: Path | None, columns: list[str] | None, folder: Path | None
) -> Dataset:
    """The data set that a command names.

    Raises:
        DataError: the name is no MovieLens edition and no .csv or .parquet file.
    """
    if data in MOVIELENS:
        if items or users or columns:
            raise ConfigError(f"--items, --users and --column do not go with {data}, whose tables are known")
        with download_bar(data) as progress:
            return movielens(data.removeprefix("ml-"), folder, progress=progress)
    if folder is not None:
        raise ConfigError(f"--from goes with {' or '.join(MOVIELENS)}, not with {data!r}")
    mapping = dict(_pair(column) for column in columns or [])
    suffix = Path(data).suffix.lower()
    if suffix == ".parquet":
        return Dataset.from_parquet(data, items, users, mapping, name=Path(data).stem)
    if suffix in (".csv", ".tsv"):
        separator = "\t" if suffix == ".tsv" else ","
        return Dataset.from_csv(data, items, users, mapping, separator=separator, name=Path(data).stem)
    raise DataError(f"{data!r}: expected a .csv, .tsv or .parquet file, {' or '.join(MOVIELENS)}")


def _pair(text: str) -> tuple[str, str]:
    standard, equals, theirs = text.partition("=")
    if not equals or not standard or not theirs:
        raise ConfigError(f"--column: expected STANDARD=YOURS, for example user_id=customer, got {text!r}")
    return standard, theirs


def settings(config: str, seed: int | None, threads: int | None) -> dict[str, Any]:
    """The configuration of a command: preset or file, with what the options change."""
    import msgspec

    from shortlist.config import load_config

    values: dict[str, Any] = msgspec.to_builtins(load_config(config))
    changes = {"seed": seed, "threads": threads}
    return values | {key: value for key, value in changes.items() if value is not None}
