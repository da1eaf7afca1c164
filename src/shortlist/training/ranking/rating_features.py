"""What a factorization machine reads of a log: one-hot and set features, in groups that share a prior."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.dataset import attribute_kind
from shortlist.data.log import Log, Rows
from shortlist.ranking.factorization import DAY_SECONDS

Groups = tuple[sp.csr_matrix, ...]
"""Features of the same rows (users, items), one matrix (n_rows, n_values) per group."""
MOST_VALUES = 256
FEWEST_ROWS = 5
BINS = 10


@dataclass(frozen=True)
class Design:
    """The features of some rated events: those of the user, of the item, and the day.

    Attributes:
        user_rows, item_rows: int32 (n,).
        day_rows: int32 (n,), places in ``day_numbers``.
        day_numbers: int32 (n_days,), rising: days since 1970 with an event; none where the times are only an order.
        user_features: (n_users, f), its columns: who it is, the items the user has rated, attributes.
        item_features: (n_items, g), its columns: which it is, the users who have rated it, attributes.
        taken_up: (n_users, n_items): the set of items that a user has rated, as in its features.
        group_sizes: columns of each group, in the order day, users' groups, items' groups.
    """

    user_rows: Rows
    item_rows: Rows
    day_rows: Rows
    day_numbers: Rows
    user_features: sp.csr_matrix
    item_features: sp.csr_matrix
    taken_up: sp.csr_matrix
    group_sizes: tuple[int, ...]

    @property
    def days(self) -> sp.csr_matrix:
        """(n, n_days): each event's day."""
        return one_hot(self.day_rows, len(self.day_numbers))


def make_design(rated: Log, user_attributes: Groups = (), item_attributes: Groups = ()) -> Design:
    """The features of a log, all of whose events have a rating.

    The set of what a user has rated counts 1/√n each, as in SVD++ (Koren 2008), and so does the set of those who have
    rated an item.
    """
    pairs = (np.ones(len(rated)), (rated.user_rows, rated.item_rows))
    sets = sp.csr_matrix(pairs, shape=(rated.n_users, rated.n_items))
    sets.data[:] = 1
    taken_up = normalised(sets)
    users = (sp.identity(rated.n_users, format="csr"), taken_up, *user_attributes)
    items = (sp.identity(rated.n_items, format="csr"), normalised(sets.T.tocsr()), *item_attributes)
    days = rated.timestamps // DAY_SECONDS if rated.in_seconds else np.zeros(len(rated), dtype=np.int64)
    day_numbers, day_rows = np.unique(days, return_inverse=True)
    if not rated.in_seconds:
        day_numbers, day_rows = day_numbers[:0], np.full(len(rated), -1)
    return Design(
        rated.user_rows,
        rated.item_rows,
        day_rows.astype(np.int32),
        day_numbers.astype(np.int32),
        sp.hstack(users, format="csr"),
        sp.hstack(items, format="csr"),
        taken_up,
        tuple(n for n in (len(day_numbers), *(group.shape[1] for group in (*users, *items))) if n),
    )


def normalised(sets: sp.csr_matrix) -> sp.csr_matrix:
    """Each row of a 0-1 matrix divided by the square root of its number of ones."""
    sizes = np.maximum(np.diff(sets.indptr), 1)
    return sp.csr_matrix(sp.diags(1 / np.sqrt(sizes)) @ sets)


def one_hot(rows: NDArray[np.integer], n_values: int) -> sp.csr_matrix:
    """(n, n_values): a one at each row's value; a row of -1 stays empty.

    >>> one_hot(np.array([1, -1]), 2).toarray().tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    known = np.flatnonzero(rows >= 0)
    return sp.csr_matrix((np.ones(len(known)), (known, rows[known])), shape=(len(rows), n_values))


def attribute_groups(table: pl.DataFrame, id_column: str) -> Groups:
    """The attributes of users or items, a group each; text is left out.

    Categories and lists: the most frequent values (at most 256) that at least five rows have, each value one.
    Numbers and dates: ten bins with about as many rows each. What is not given has no value.
    """
    groups = [_group(series) for series in table.drop(id_column)]
    return tuple(group for group in groups if group is not None and group.nnz)


def _group(series: pl.Series) -> sp.csr_matrix | None:
    kind = attribute_kind(series)
    if kind == "text":
        return None
    if kind in ("number", "date"):
        values = series.to_physical() if kind == "date" else series
        column = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        known = np.isfinite(column)
        if not known.any():
            return None
        edges = np.unique(np.quantile(column[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        return one_hot(np.where(known, np.searchsorted(edges, column, side="right"), -1), len(edges) + 1)
    nested = isinstance(series.dtype, pl.List)
    rows = pl.DataFrame({"row": np.arange(len(series)), "value": series if nested else series.cast(pl.String)})
    pairs = (rows.explode("value") if nested else rows).drop_nulls().unique(maintain_order=True)
    counts = pairs.group_by("value").len().filter(pl.col("len") >= FEWEST_ROWS)
    frequent = counts.sort("len", "value", descending=[True, False]).head(MOST_VALUES).with_row_index("column")
    found = pairs.join(frequent, on="value", maintain_order="left")
    entries = (np.ones(len(found)), (found["row"].to_numpy(), found["column"].to_numpy()))
    return sp.csr_matrix(entries, shape=(len(series), len(frequent)))
