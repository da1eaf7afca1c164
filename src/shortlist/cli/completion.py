"""What the shell completes beside the names of commands and options: values.

Each function gets what has been typed so far and gives what may stand there. Where it gives nothing, the shell
completes the names of files.
"""

from pathlib import Path
from typing import get_args

import typer

from shortlist.errors import ArtifactError

TABLES = (".csv", ".tsv", ".parquet")


def files(incomplete: str) -> list[str]:
    """Nothing of ours."""
    return []


def editions(incomplete: str) -> list[str]:
    from shortlist.data.movielens import EDITIONS

    return [edition.name for edition in EDITIONS.values()]


def data_sets(incomplete: str) -> list[str]:
    return _or_files(editions(incomplete), incomplete, TABLES)


def configs(incomplete: str) -> list[str]:
    from shortlist.config import PRESETS

    return _or_files(list(PRESETS), incomplete, (".toml",))


def judged(incomplete: str) -> list[str]:
    """What `evaluate` takes: presets, data sets, and files of both kinds; models are folders."""
    from shortlist.config import PRESETS

    return _or_files([*PRESETS, *editions(incomplete)], incomplete, (".toml", *TABLES))


def targets(incomplete: str) -> list[str]:
    from shortlist.config import Target

    return list(get_args(Target))


def protocols(incomplete: str) -> list[str]:
    from shortlist.data.split import Protocol

    return list(get_args(Protocol))


def versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """The versions of the model that stands before."""
    from shortlist import artifact

    try:
        return artifact.versions(ctx.params["model"])
    except (ArtifactError, KeyError, TypeError):
        return []


def _or_files(names: list[str], incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Names, and beside them folders and files of these kinds; if only files fit, the shell knows better."""
    if not any(name.startswith(incomplete) for name in names):
        return []
    folder = Path(incomplete).parent if incomplete else Path()
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return names
    kept = [entry for entry in entries if entry.is_dir() or entry.suffix.lower() in suffixes]
    return names + [f"{entry}/" if entry.is_dir() else str(entry) for entry in kept if entry.name[0] != "."]
