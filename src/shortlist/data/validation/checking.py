"""A table on its way through the checks: which rows are set aside, for what, and where they stood."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from shortlist.data.validation.findings import CHECKS, Finding, Severity, shown
from shortlist.data.validation.repair.values import Cleaned, text_of

REPEATS = ("duplicate_event", "conflicting_duplicate", "repeated_id")
"""These refuse nothing, however many rows they set aside: what is left is whole."""
ASIDE = {
    "reason": pl.String,
    "column": pl.String,
    "table": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "line": pl.Int64,
    "raw": pl.String,
}
"""The first columns of the table of rows set aside; then come the columns of the sources, as text."""
EMPTY_ASIDE = pl.DataFrame(schema=ASIDE)


@dataclass
class CheckedTable:
    """One of the three tables.

    Attributes:
        kind: ``"interactions"``, ``"items"`` or ``"users"``.
        raw: the rows that could be read, as they came, under standard names.
        places: of each row of ``raw``: the number of its file in ``files``, its row from 0 and its line from 1.
        files: the names of the sources.
        untyped: columns came as text because a CSV file has no types.
        broken: rows that could not be read, as in `ASIDE`.
        clean: columns that were checked, one value per row of ``raw``.
        extras: other columns, of the rows that are kept.
        findings: what the checks found.
        reasons: check and column; a row's entry in ``reason_of`` counts them from 1, 0 = the row is kept.
    """

    kind: str
    raw: pl.DataFrame
    places: pl.DataFrame
    files: tuple[str, ...]
    untyped: bool = False
    broken: pl.DataFrame = field(default_factory=lambda: EMPTY_ASIDE)
    clean: dict[str, pl.Series] = field(default_factory=dict)
    extras: list[pl.Series] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    reasons: list[tuple[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reason_of = np.zeros(len(self.raw), dtype=np.int16)

    @property
    def n_read(self) -> int:
        return len(self.raw) + len(self.broken)

    @property
    def kept(self) -> pl.Series:
        return pl.Series(self.reason_of == 0)

    @property
    def n_kept(self) -> int:
        return int((self.reason_of == 0).sum())

    @property
    def refused(self) -> bool:
        return any(finding.severity == "refused" for finding in self.findings)

    @property
    def origin(self) -> str:
        return self.files[0] if len(self.files) == 1 else f"{self.files[0]} and {len(self.files) - 1} more"

    def take(self, column: str, cleaned: Cleaned) -> None:
        """Keep a cleaned column, and note what was wrong with it."""
        self.clean[column] = cleaned.values
        for problem in cleaned.problems:
            self.set_aside(problem.check, column, problem.rows, f"expected {problem.expected}")
        for conversion in cleaned.conversions:
            if conversion.rows.any():
                self.note(conversion.check, f"column {column!r} {conversion.what}", column, conversion.rows)

    def set_aside(self, check: str, column: str | None, bad: pl.Series, why: str) -> None:
        """Take out the bad rows that are still in; more than half of the table refuses it.

        Args:
            why: the end of the sentence "row 3, column 'rating': got 'good', …".
        """
        new = bad.to_numpy() & (self.reason_of == 0)
        if not new.any():
            return
        self.reasons.append((check, column))
        self.reason_of[new] = len(self.reasons)
        refused = check not in REPEATS and 2 * int(new.sum()) > self.n_read
        n_rows, row = int(new.sum()), int(np.argmax(new))
        place = self.place(row)
        value = None if column is None else self.raw[column][row]
        got = "" if column is None else f", column {column!r}: got {shown(value)}"
        rest = "; that is more than half of the rows" if refused else ""
        self.findings.append(
            Finding(
                check,
                "refused" if refused else "set_aside",
                f"{self.said(place)}{got}{':' if column is None else ','} {why} ({self.share(n_rows)}{rest})",
                self.kind,
                column,
                n_rows,
                self.n_read,
                **place,
                example=None if column is None else text_of(self.raw[column][row : row + 1])[0],
            )
        )

    def note(self, check: str, what: str, column: str | None = None, rows: pl.Series | None = None) -> None:
        """Something converted or strange: about the table, or (with ``rows``) about some of its rows."""
        severity: Severity = CHECKS[check][0]
        if rows is None:
            self.findings.append(Finding(check, severity, f"{self.origin}: {what}", self.kind, column))
            return
        n_rows, row = int(rows.sum()), int(rows.arg_max() or 0)
        place = self.place(row)
        message = f"{self.said(place)}: {what} ({self.share(n_rows)})"
        example = None if column is None else text_of(self.raw[column][row : row + 1])[0]
        self.findings.append(
            Finding(check, severity, message, self.kind, column, n_rows, self.n_read, **place, example=example)
        )

    def refuse(self, check: str, what: str, column: str | None = None) -> None:
        """The table cannot be used."""
        self.findings.append(Finding(check, "refused", f"{self.origin}: {what}", self.kind, column))

    def frame(self) -> pl.DataFrame:
        """The clean columns of the rows that are kept."""
        return pl.DataFrame(list(self.clean.values())).filter(self.kept)

    def among_all(self, rows_of_frame: pl.Series) -> pl.Series:
        """Rows of `frame` as rows of ``raw``: bool to bool."""
        rows = np.zeros(len(self.raw), dtype=bool)
        rows[np.flatnonzero(self.reason_of == 0)[rows_of_frame.to_numpy()]] = True
        return pl.Series(rows)

    def place(self, row: int) -> dict[str, Any]:
        """``file``, ``row`` and ``line`` of a row of ``raw``."""
        number, source_row, line = self.places.row(row)
        return {"file": self.files[number], "row": source_row, "line": line}

    @staticmethod
    def said(place: Mapping[str, Any]) -> str:
        line = "" if place["line"] is None else f" (line {place['line']})"
        return f"{place['file']}, row {place['row']}{line}"

    def share(self, n_rows: int) -> str:
        return f"{n_rows:,} of {self.n_read:,} rows"

    def counts(self) -> dict[str, Any]:
        """Rows read and kept, and set aside by check."""
        by_check: dict[str, int] = dict(self.broken["reason"].value_counts().iter_rows())
        for number, (check, _) in enumerate(self.reasons, 1):
            by_check[check] = by_check.get(check, 0) + int((self.reason_of == number).sum())
        ordered = {check: by_check[check] for check in CHECKS if check in by_check}
        return {"rows_read": self.n_read, "rows_kept": self.n_kept, "set_aside": ordered}

    def aside(self) -> pl.DataFrame:
        """The rows set aside, in file order: `ASIDE`, then the columns as they came, as text."""
        out = np.flatnonzero(self.reason_of)
        places = self.places[out]
        reasons = [self.reasons[number - 1] for number in self.reason_of[out]]
        frame = pl.DataFrame(
            {
                "reason": pl.Series([check for check, _ in reasons], dtype=pl.String),
                "column": pl.Series([column for _, column in reasons], dtype=pl.String),
                "table": pl.Series([self.kind] * len(out), dtype=pl.String),
                "file": pl.Series([self.files[number] for number in places["file"]], dtype=pl.String),
                "row": places["row"],
                "line": places["line"],
                "raw": pl.Series([None] * len(out), dtype=pl.String),
            }
        )
        rows = self.raw[out]
        values = [text_of(rows[name]).alias(f"{name}_" if name in ASIDE else name) for name in rows.columns]
        whole = pl.concat([frame.with_columns(values), self.broken], how="diagonal")
        order = pl.col("file").replace_strict({name: number for number, name in enumerate(self.files)})
        return whole.sort(order, "row", maintain_order=True)
