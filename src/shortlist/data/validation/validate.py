"""The lenient door: dirty data in, a clean data set, what was set aside, and what was found out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from shortlist.data.columns import Frame, rename_columns
from shortlist.data.dataset import Dataset
from shortlist.data.validation.checking import EMPTY_ASIDE, CheckedTable
from shortlist.data.validation.checks import KEYS, check_attributes, check_log, relate
from shortlist.data.validation.findings import SEVERITIES, Finding, Refusal
from shortlist.data.validation.reading import Reading, read_files, read_frame
from shortlist.errors import DataError

Source = str | Path | Frame


@dataclass(frozen=True, eq=False)
class Validation:
    """What `validate` found.

    Attributes:
        findings: one per check and column, the gravest first.
        set_aside: the rows taken out: ``reason`` (the check), ``column``, ``table``, ``file``, ``row`` (from 0),
            ``line`` (from 1, CSV only), ``raw`` (the text of a row that could not be split), then the columns of the
            sources as text.
        counts: per table ``rows_read``, ``rows_kept`` and ``set_aside``, rows by check; what was read is what was
            kept and what was set aside.
    """

    findings: tuple[Finding, ...]
    set_aside: pl.DataFrame
    counts: dict[str, dict[str, Any]]
    clean: Dataset | None

    @property
    def usable(self) -> bool:
        return self.clean is not None

    @property
    def dataset(self) -> Dataset:
        """The clean data.

        Raises:
            DataError: something was refused; the message is the first refusal's.
        """
        if self.clean is None:
            refused = self.of("refused")
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise DataError(refused[0].message + more)
        return self.clean

    def of(self, severity: str) -> list[Finding]:
        """The findings of one severity: ``"refused"``, ``"set_aside"``, ``"converted"`` or ``"warning"``."""
        return [finding for finding in self.findings if finding.severity == severity]

    def summary(self) -> dict[str, Any]:
        """Counts and sentences, as JSON; `Dataset.validation` of the clean data."""
        return {
            **self.counts["interactions"],
            **{kind: counts for kind, counts in self.counts.items() if kind != "interactions"},
            "converted": [finding.message for finding in self.of("converted")],
            "warnings": [finding.message for finding in self.of("warning")],
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything but the rows themselves, as JSON."""
        findings = [finding.to_dict() for finding in self.findings]
        return {"usable": self.usable, "tables": self.counts, "findings": findings}

    def table(self) -> str:
        """A report for people."""
        lines = [f"{'usable' if self.usable else 'NOT USABLE'}: {self.sentence()}"]
        lines += [f"{kind}: {self.sentence(kind)}" for kind in self.counts if kind != "interactions"]
        width = max((len(finding.check) for finding in self.findings), default=0)
        for severity in SEVERITIES:
            found = self.of(severity)
            if found:
                lines += ["", f"{severity.replace('_', ' ')}:"]
                lines += [f"  {finding.check:<{width}}  {finding.message}" for finding in found]
        return "\n".join(lines)

    def sentence(self, kind: str = "interactions") -> str:
        """Rows read, kept, and set aside by check, of one table."""
        counts = self.counts[kind]
        by_check = ", ".join(f"{check} {n:,}" for check, n in counts["set_aside"].items())
        n_aside = sum(counts["set_aside"].values())
        return (
            f"{counts['rows_read']:,} rows read, {counts['rows_kept']:,} kept, {n_aside:,} set aside"
            f"{f' ({by_check})' if by_check else ''}"
        )

    def __repr__(self) -> str:
        return f"<Validation: {'usable' if self.usable else 'not usable'}, {self.sentence()}>"


def validate(
    interactions: Source | Sequence[str | Path],
    items: Source | None = None,
    users: Source | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    list_separator: str = "|",
    now: float | None = None,
    name: str = "",
) -> Validation:
    """Check a log and its tables; set bad rows aside, convert what can be converted, say what is strange.

    What each check does is in ``docs/validation.md``. Where a file cannot be used, a needed column is missing, or a
    check would set aside more than half of a table, the findings say so and `Validation.dataset` raises.

    Args:
        interactions: a CSV, TSV or Parquet file, several with the same columns, or a table (polars, pandas, Arrow, a
            mapping of columns).
        items: a file or table with one row per item; ``None`` = none.
        users: likewise.
        columns: standard name -> yours, as in `Dataset.from_frames`.
        separator: between the columns of CSV files: one character or ``"::"``; ``None`` = look.
        encoding: of CSV files; ``None`` = look (UTF-8, UTF-16, latin-1 or cp1252).
        list_separator: as in `Dataset.from_csv`.
        now: Unix seconds, to tell times in the future; ``None`` = the clock.
        name: how reports call the data.

    Raises:
        DataError: an argument is neither a file nor a table.
        ConfigError: there is no encoding of that name.

    >>> log = {"user_id": [1, None, 2], "item_id": ["a", "b", "a"], "rating": [4.0, 5.0, 3.5]}
    >>> validation = validate(log)
    >>> validation
    <Validation: usable, 3 rows read, 2 kept, 1 set aside (missing_id 1)>
    >>> len(validation.dataset), validation.set_aside["row"].to_list()
    (2, [1])
    """
    moment = time.time() if now is None else now
    sources = {"interactions": interactions, "items": items, "users": users}
    tables: dict[str, CheckedTable] = {}
    findings: list[Finding] = []
    for kind, source in sources.items():
        if source is not None or kind == "interactions":
            try:
                tables[kind] = _read(kind, source, Reading(separator, encoding))
            except Refusal as refusal:
                findings.append(Finding(refusal.check, "refused", str(refusal), kind, refusal.column))
    log = tables.get("interactions")
    if log is not None and _renamed(tables, columns or {}):
        check_log(log, moment)
        attributes = {kind: tables[kind] for kind in KEYS if kind in tables}
        for kind, table in attributes.items():
            check_attributes(table, KEYS[kind], list_separator)
        if not any(table.refused for table in tables.values()):
            relate(log, attributes, moment)
    findings += [finding for table in tables.values() for finding in table.findings]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return _validation(tables, tuple(findings), name)


def _read(kind: str, source: Any, reading: Reading) -> CheckedTable:
    if isinstance(source, str | Path):
        return read_files(kind, [Path(source)], reading)
    several = kind == "interactions" and isinstance(source, list | tuple) and len(source) > 0
    if several and all(isinstance(path, str | Path) for path in source):
        return read_files(kind, [Path(path) for path in source], reading)
    return read_frame(kind, source)


def _renamed(tables: Mapping[str, CheckedTable], columns: Mapping[str, str]) -> bool:
    """Give the columns their standard names; whether that was possible."""
    try:
        frames = rename_columns({kind: table.raw for kind, table in tables.items()}, columns)
    except DataError as error:
        tables["interactions"].refuse("missing_column", str(error))
        return False
    for kind, table in tables.items():
        table.raw = frames[kind]
    return True


def _validation(tables: Mapping[str, CheckedTable], findings: tuple[Finding, ...], name: str) -> Validation:
    empty = {"rows_read": 0, "rows_kept": 0, "set_aside": {}}
    counts = {"interactions": empty} | {kind: table.counts() for kind, table in tables.items()}
    aside = pl.concat([EMPTY_ASIDE, *(table.aside() for table in tables.values())], how="diagonal")
    found = Validation(findings, aside, counts, None)
    if found.of("refused"):
        return found
    frames = {kind: table.frame().hstack(table.extras) for kind, table in tables.items()}
    notes = [finding.message for severity in ("converted", "warning") for finding in found.of(severity)]
    dataset = Dataset.from_frames(
        frames["interactions"], frames.get("items"), frames.get("users"), notes=notes, name=name
    )
    return replace(found, clean=replace(dataset, validation=found.summary()))
