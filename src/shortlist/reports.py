"""Reports kept beside a model: what an evaluation found about a version, for whoever looks at it later.

::

    model/
    ├── reports/3f9c2a1b5d7e8f60.json     of the version of that name
    └── 3f9c2a1b5d7e8f60/                 the version itself, which stays as it was saved
"""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import msgspec

from shortlist.durable import sync_directory, write
from shortlist.errors import ArtifactError

FOLDER = "reports"
_VERSION = re.compile(r"[0-9a-f]{16}")


class KeptReport(msgspec.Struct):
    """A report as the file has it.

    Attributes:
        version: that it is shown for.
        judged: what was judged: this version itself, or which model in its place.
        same_model: whether it was this version itself.
        report: `Report.to_dict`.
    """

    version: str
    judged: str
    same_model: bool
    report: dict[str, Any]


def keep_report(model: str | os.PathLike[str], kept: KeptReport) -> Path:
    """Write a version's report, in place of the one before; reports of versions that are gone are removed.

    Args:
        model: the directory with the versions.

    Raises:
        ArtifactError: there is no such version.
        OSError: it cannot be written.
    """
    model = Path(model)
    if not _VERSION.fullmatch(kept.version) or not (model / kept.version).is_dir():
        raise ArtifactError(f"{model} has no version {kept.version}; there are {', '.join(_versions(model)) or 'none'}")
    folder = model / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{kept.version}.json"
    temporary = folder / f".{path.name}.{secrets.token_hex(4)}"
    write(temporary, msgspec.json.encode(kept))
    os.replace(temporary, path)
    for other in folder.glob("*.json"):
        if not (model / other.stem).is_dir():
            other.unlink(missing_ok=True)
    sync_directory(folder)
    return path


def kept_report(model: str | os.PathLike[str], version: str) -> KeptReport | None:
    """The report of a version; ``None`` = none was kept.

    Args:
        model: the directory with the versions, or the folder of one version.

    Raises:
        ArtifactError: the file is damaged.
    """
    model = Path(model)
    parent = model.parent if (model / "manifest.json").is_file() else model
    path = parent / FOLDER / f"{version}.json"
    if not _VERSION.fullmatch(version) or not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeptReport)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read as a report: {error}") from error


def _versions(model: Path) -> list[str]:
    return sorted(entry.name for entry in model.glob("*") if _VERSION.fullmatch(entry.name)) if model.is_dir() else []
