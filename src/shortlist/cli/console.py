"""What all commands share: data from the command line, progress on stderr, results on stdout."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from shortlist.cli import completion
from shortlist.errors import ConfigError, DataError

if TYPE_CHECKING:  # a command imports what it needs when it runs: help and the TAB key do not wait for polars
    from shortlist.data.dataset import Dataset

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv, .tsv or .parquet file of interactions, or a MovieLens edition such as ml-100k.",
        autocompletion=completion.data_sets,
    ),
]
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="The model's directory.", autocompletion=completion.files)
]
ItemsOption = Annotated[
    Path | None,
    typer.Option("--items", metavar="FILE", help="A file of item attributes.", autocompletion=completion.files),
]
UsersOption = Annotated[
    Path | None,
    typer.Option("--users", metavar="FILE", help="A file of user attributes.", autocompletion=completion.files),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="STANDARD=YOURS", help="Another column name, e.g. user_id=customer."),
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FOLDER",
        help="MovieLens: a local folder or zip instead of fetching.",
        autocompletion=completion.files,
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(help="window, next or random; left out: what the log allows.", autocompletion=completion.targets),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        help="time, next or random; left out: time where there are times.", autocompletion=completion.protocols
    ),
]
ConfigOption = Annotated[
    str,
    typer.Option(
        "--config", help="default, best, fast, ratings, tutorial, or a TOML file.", autocompletion=completion.configs
    ),
]
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
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = err()
    if not console.is_terminal:
        yield None
        return
    with Progress(TextColumn(label), BarColumn(), DownloadColumn(), console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def is_data(name: str) -> bool:
    """Whether an argument names a log rather than a model or a preset."""
    from shortlist.data.movielens import EDITIONS

    editions = [edition.name for edition in EDITIONS.values()]
    return name in editions or Path(name).suffix.lower() in completion.TABLES


def read_data(
    data: str,
    items: Path | None,
    users: Path | None,
    columns: list[str] | None,
    folder: Path | None,
    set_aside: Path | None = None,
) -> "Dataset":
    """The data set that a command names; bad rows of a file are set aside, and a sentence on stderr counts them.

    Args:
        set_aside: the file for these rows; ``None`` = they are only counted.

    Raises:
        DataError: the name is no MovieLens edition and no .csv, .tsv or .parquet file, or the data are refused.
        ConfigError: something else than rows set aside is in the place of the file.
    """
    from shortlist.data.movielens import EDITIONS, movielens

    published = [edition.name for edition in EDITIONS.values()]
    if data in published:
        if items or users or columns:
            raise ConfigError(f"--items, --users and --column do not go with {data}, whose tables are known")
        with download_bar(data) as progress:
            return movielens(data.removeprefix("ml-"), folder, progress=progress)
    if folder is not None:
        raise ConfigError(f"--from goes with a MovieLens edition such as ml-100k, not with {data!r}")
    if Path(data).suffix.lower() not in completion.TABLES:
        raise DataError(f"{data!r}: expected a .csv, .tsv or .parquet file or one of {', '.join(published)}")
    return validated(Path(data), items, users, column_names(columns), set_aside, Path(data).stem)


def validated(
    data: Any, items: Path | None, users: Path | None, columns: dict[str, str], set_aside: Path | None, name: str
) -> "Dataset":
    """The clean data of a log, a file or a table; see `read_data`."""
    from shortlist.data.validation.set_aside import holds_set_aside, write_set_aside
    from shortlist.data.validation.validate import validate

    found = validate(data, items, users, columns, name=name)
    dataset = found.dataset
    n_rows = len(found.set_aside)
    if set_aside is not None and (n_rows or holds_set_aside(set_aside)):
        write_set_aside(found.set_aside, set_aside)
    if n_rows:
        where = f"they are in {set_aside}" if set_aside else "`shortlist data validate` writes them into a file"
        for kind in found.set_aside["table"].unique(maintain_order=True):
            err().print(f"{kind}: {escape(found.sentence(kind))}; {escape(where)}", soft_wrap=True)
    return dataset


def column_names(columns: list[str] | None) -> dict[str, str]:
    """What ``--column`` was given: standard name -> the caller's."""
    return dict(_pair(column) for column in columns or [])


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


def check_file_out(path: Path, option: str) -> None:
    """Refuse a file that could not be written, before the work is done.

    Raises:
        ConfigError: it is a folder, or the folder that it would lie in does not exist.
    """
    if path.is_dir():
        raise ConfigError(f"{option}: expected a file to write, but {path} is a folder")
    if not path.parent.is_dir():
        raise ConfigError(f"{option}: there is no folder {path.parent} to write {path.name} in; make it first")


def check_model_out(path: Path, option: str) -> None:
    """Refuse a place where no model could be saved, before it is trained. Folders that are missing will be made.

    Raises:
        ConfigError: the place, or one above it, is a file; or it is one version of a model.
    """
    standing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not standing.is_dir():
        raise ConfigError(f"{option}: expected a directory for the model, but {standing} is a file")
    if (path / "manifest.json").exists():
        raise ConfigError(f"{option}: {path} is one version of a model; give the directory above it")
