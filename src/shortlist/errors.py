"""What can go wrong, by whose hand.

::

    ShortlistError
    ├── DataError          the log or its tables: a missing column, a null id, a wrong type, a leak
    │   └── LeakageError       the same event in training and test, or a training event after the cut
    ├── ConfigError        a setting that does not exist or cannot have that value
    ├── QueryError         a request: an unknown column in `where`, a bad `k`, a history of the wrong shape
    │   └── RulesError     a file or text of rules that cannot be used, with line numbers
    ├── ArtifactError      a saved model that is incomplete, altered or from a newer version
    ├── DownloadError      a data set that could not be fetched
    ├── StoreError         the store of events: an address it cannot open, a write it cannot take
    └── MissingExtraError  an optional dependency is not installed; the message names the extra

Each message says what was expected, what came, where, and what follows. All of them are ``ValueError`` too, save
``MissingExtraError`` (an ``ImportError``), ``DownloadError`` (an ``OSError``) and ``StoreError``, so that callers who
know only the built-in tree catch them.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class ShortlistError(Exception):
    """The root: everything that this package raises on purpose."""


class DataError(ShortlistError, ValueError):
    """The data cannot be used as given."""


class LeakageError(DataError):
    """Training data knows the test."""


class ConfigError(ShortlistError, ValueError):
    """A setting is unknown or its value is not allowed."""


class QueryError(ShortlistError, ValueError):
    """A request cannot be answered as asked."""


class RulesError(QueryError):
    """Rules cannot be used.

    Args:
        message: one line per problem.
        findings: the problems; see `shortlist.rules.findings`.
    """

    def __init__(self, message: str, findings: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class ArtifactError(ShortlistError, ValueError):
    """A saved model cannot be trusted or read."""


class DownloadError(ShortlistError, OSError):
    """A data set could not be fetched."""


class StoreError(ShortlistError):
    """The store of events cannot be opened, read or written; its kinds are in `shortlist.serving.store.contract`."""


class MissingExtraError(ShortlistError, ImportError):
    """An optional dependency is missing."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Args:
        module: the module's import name, for example ``"torch"``.
        extra: the extra of this package that installs it, for example ``"train"``.
        purpose: what needs it, as the start of a sentence.

    Raises:
        MissingExtraError: the module is not installed.

    >>> require("json", "train", "Reading").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs {module!r}, which is not installed; it comes with the extra {extra!r}: "
            f"pip install 'shortlist[{extra}]'"
        ) from error
