"""Do the ids of the item (user) table and those of the interactions meet?"""

import polars as pl

from shortlist.data.validation.checking import CheckedTable
from shortlist.data.validation.findings import shown


def unify_ids(log: CheckedTable, table: CheckedTable, key: str) -> None:
    """Ids that are text in one table become text in both, with a notice."""
    if log.clean[key].dtype == table.clean[key].dtype or not table.n_kept:
        return
    whole = table if log.clean[key].dtype == pl.String else log
    whole.note("id_kinds_differ", f"column {key!r} holds integers, and text in the other table; they became text", key)
    whole.clean[key] = whole.clean[key].cast(pl.String)


def check_joins(log: CheckedTable, table: CheckedTable, key: str) -> None:
    """Note the ids that are in one table only; a table that has none in common with the log is refused."""
    kind = table.kind
    known, used = (t.clean[key].filter(t.kept).unique(maintain_order=True) for t in (table, log))
    if not len(known) or not len(used):
        return
    extra = known.filter(~known.is_in(used.implode()))
    unknown = used.filter(~used.is_in(known.implode()))
    if len(extra) == len(known):
        what = (
            f"none of the {len(known):,} ids in {key!r}, such as {shown(known[0])}, is in the interactions, where "
            f"one is {shown(used[0])}{_hint(known, used)}"
        )
        table.refuse("nothing_joins", what, key)
        return
    if len(unknown):
        rows = log.clean[key].is_in(unknown.implode()).fill_null(False) & log.kept
        what = f"{len(unknown):,} of {len(used):,} {kind} of the interactions are not in the {kind[:-1]} table"
        what += _hint(unknown, extra)
        log.note(f"{kind}_without_attributes", what, key, rows)
    if len(extra):
        rows = table.clean[key].is_in(extra.implode()).fill_null(False) & table.kept
        what = f"{len(extra):,} of {len(known):,} {kind} in the table are in no interaction"
        table.note(f"{kind}_without_interactions", what, key, rows)


def _hint(known: pl.Series, used: pl.Series) -> str:
    """Whether blanks, case and leading zeros are what keeps the ids apart."""
    bare = [
        ids.cast(pl.String).str.strip_chars().str.to_lowercase().str.strip_chars_start("0") for ids in (known, used)
    ]
    n_alike = int(bare[0].is_in(bare[1].implode()).sum())
    return f"; without blanks, case and leading zeros {n_alike:,} would be" if n_alike else ""
