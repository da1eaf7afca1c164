"""Content: items by their attributes and words, so that one which nobody has touched yet can be retrieved."""

import zlib
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.dataset import attribute_kind
from shortlist.data.log import Floats, Mask, Rows
from shortlist.stages import Contributions, Queries, Source

N_BUMPS = 16
"""Columns of a number or date: bumps over its ranks, so that neighbouring values share some."""
N_KNOTS = 1024
"""Of a number or date, to tell the rank of a value by."""


@dataclass(frozen=True)
class AttributeColumns:
    """What attributes look like as the columns of a matrix; made once, then used for any item.

    The columns are the values and words of ``hashes`` in their order, then `N_BUMPS` for each number or date.

    Attributes:
        names: the attributes, but for numbers that are all alike.
        kinds: of each, as `attribute_kind` has it.
        hashes: int64 (n_values,), increasing: the CRC-32 of ``"NAME=VALUE"``. Texts are not stored.
        idf: float32 (n_values,), log((n_items + 1) / n_items_with_it).
        knots: float64 (n_numbers, N_KNOTS), not decreasing: values at equal steps of rank.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    hashes: NDArray[np.int64]
    idf: Floats
    knots: NDArray[np.float64]

    @classmethod
    def of(cls, items: pl.DataFrame, most: int) -> "AttributeColumns":
        """The columns for a catalogue: of each attribute the values that most items have, two at least.

        Args:
            items: ``item_id`` and attributes.
            most: values and words in all; every attribute gets as many.
        """
        attributes = items.drop("item_id").get_columns()
        kinds: dict[str, str] = {}
        hashes, counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        knots = []
        for series in attributes:
            kind = attribute_kind(series)
            if kind in ("number", "date"):
                of_number = _knots(_numbers(series, kind))
                if of_number[0] == of_number[-1]:
                    continue
                knots.append(of_number)
            else:
                distinct, n = np.unique(_hashed_values(series, kind)[1], return_counts=True)
                frequent = np.lexsort((distinct, -n))[: most // len(attributes)]
                frequent = frequent[n[frequent] > 1]
                hashes.append(distinct[frequent])
                counts.append(n[frequent])
            kinds[series.name] = kind
        merged, places = np.unique(np.concatenate(hashes), return_index=True)
        idf = np.log((len(items) + 1) / np.concatenate(counts)[places]).astype(np.float32)
        return cls(tuple(kinds), tuple(kinds.values()), merged, idf, np.array(knots).reshape(-1, N_KNOTS))

    def __len__(self) -> int:
        return len(self.hashes) + N_BUMPS * len(self.knots)

    def matrix(self, items: pl.DataFrame) -> sp.csr_matrix:
        """float32 (n_items, n_columns): one row per item; each attribute is a part of length one, or all 0.

        Unknown values, missing ones and missing attributes are 0.

        >>> items = pl.DataFrame({"item_id": [1, 2, 3], "genres": [["Drama", "War"], ["Drama"], ["War", "Noir"]]})
        >>> columns = AttributeColumns.of(items, most=100)
        >>> columns.matrix(items).toarray().round(3)
        array([[0.707, 0.707],
               [1.   , 0.   ],
               [0.   , 1.   ]], dtype=float32)
        """
        parts = [sp.csr_matrix((len(items), len(self)), dtype=np.float32)]
        n_numbers = 0
        for name, kind in zip(self.names, self.kinds, strict=True):
            numeric = kind in ("number", "date")
            if name in items.columns:
                part = self._bumps(items[name], kind, n_numbers) if numeric else self._indicators(items[name], kind)
                parts.append(_unit_rows(part))
            n_numbers += numeric
        return sp.csr_matrix(sum(parts[1:], parts[0]))

    def _indicators(self, series: pl.Series, kind: str) -> sp.csr_matrix:
        rows, hashed = _hashed_values(series, kind)
        columns = np.searchsorted(self.hashes, hashed)
        known = np.append(self.hashes, -1)[columns] == hashed
        entries = self.idf[columns[known]], (rows[known], columns[known])
        return sp.csr_matrix(entries, shape=(len(series), len(self)))

    def _bumps(self, series: pl.Series, kind: str, place: int) -> sp.csr_matrix:
        """Gaussian bumps over the ranks, in [0, 1], of a number."""
        knots, values = self.knots[place], _numbers(series, kind)
        known = np.isfinite(values)
        ranks = np.searchsorted(knots, values, "left") + np.searchsorted(knots, values, "right")
        centres = (np.arange(N_BUMPS) + 0.5) / N_BUMPS
        bumps = np.exp(-0.5 * np.square((ranks[:, None] / (2 * N_KNOTS) - centres) * N_BUMPS))
        rows, columns = np.nonzero((bumps > 1e-3) & known[:, None])
        first = len(self.hashes) + place * N_BUMPS
        entries = bumps[rows, columns].astype(np.float32), (rows, first + columns)
        return sp.csr_matrix(entries, shape=(len(series), len(self)))


@dataclass(frozen=True)
class Content(Source):
    """The mean of the history's item vectors against every item vector, where those come from attributes alone.

    score(q, j) = v_j · Σ_p w_p v_p / Σ_p w_p over the events with an item that is described, w_p = decay^p · weight_p,
    p = 0 for the latest event.

    Attributes:
        item_vectors: float32 (n_items, d), v, the item's row of the attribute matrix times ``weights``.
        described: bool (n_items,), items with an attribute that says something; the others have no evidence.
        columns: how attributes become a row.
        weights: float32 (n_columns, d).
        decay: in (0, 1], the weight of an event relative to the next newer one.
    """

    name: str
    item_vectors: Floats
    described: Mask
    columns: AttributeColumns
    weights: Floats
    decay: float = 1.0

    @classmethod
    def of(
        cls, name: str, items: pl.DataFrame, columns: AttributeColumns, weights: Floats, decay: float = 1.0
    ) -> "Content":
        """The source for a catalogue: ``item_id`` and attributes."""
        vectors: Floats = np.asarray(columns.matrix(items) @ weights, dtype=np.float32)
        described: Mask = np.abs(vectors).sum(axis=1) > 0
        return cls(name, vectors, described, columns, weights, decay)

    def for_catalogue(self, items: pl.DataFrame) -> "Content":
        """The same source for another catalogue: whoever is new in it is proposed at once, by its attributes."""
        return Content.of(self.name, items, self.columns, self.weights, self.decay)

    def score_catalogue(self, queries: Queries) -> Floats:
        scores = np.full((len(queries), len(self.item_vectors)), np.nan, dtype=np.float32)
        counts = (queries.weights > 0) & self.described[queries.item_rows]  # (n_events,)
        positions = queries.positions_from_end.astype(np.float32)
        weights = queries.weights * np.float32(self.decay) ** positions  # (n_events,)
        for q in range(len(queries)):
            events = slice(queries.offsets[q], queries.offsets[q + 1])
            items, w = queries.item_rows[events][counts[events]], weights[events][counts[events]]
            total = w.sum()
            if total > 0:
                # One matrix-vector product per query, never a block: its bits do not depend on the batch.
                products = self.item_vectors @ ((w / total) @ self.item_vectors[items])  # (n_items,)
                scores[q] = np.where(self.described, products, np.nan)
        return scores

    def contributions(self, query: Queries, item_rows: Rows) -> Contributions:
        """The terms of the mean: (w_p / Σ w) v_p · v_j, the events of a history item taken together."""
        weights = query.weights * np.float64(self.decay) ** query.positions_from_end * self.described[query.item_rows]
        taken, places = np.unique(query.item_rows[weights > 0], return_inverse=True)
        of_item = np.bincount(places, weights[weights > 0], minlength=len(taken))  # (m,)
        products = self.item_vectors[item_rows].astype(np.float64) @ self.item_vectors[taken].T  # (n, m)
        return Contributions(taken.astype(np.int32), products * of_item / max(of_item.sum(), 1e-300))


def _hashed_values(series: pl.Series, kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and hashes (n_pairs,) of an attribute's values or words, each once per row."""
    if kind == "list":
        values = series.cast(pl.List(pl.String))
    else:
        texts = series.cast(pl.String)
        values = texts.str.to_lowercase().str.extract_all(r"\w+") if kind == "text" else texts
    pairs = pl.DataFrame({"row": np.arange(len(series)), "value": values})
    pairs = pairs.explode("value") if isinstance(values.dtype, pl.List) else pairs
    pairs = pairs.drop_nulls().unique(maintain_order=True)
    distinct = pairs["value"].unique().sort()
    hashes = np.array([zlib.crc32(f"{series.name}={value}".encode()) for value in distinct.to_list()], dtype=np.int64)
    return pairs["row"].to_numpy(), hashes[distinct.search_sorted(pairs["value"]).to_numpy()] if len(pairs) else hashes


def _numbers(series: pl.Series, kind: str) -> NDArray[np.float64]:
    """float64 (n,), ``nan`` = not given; dates as seconds."""
    values = series.cast(pl.Datetime("us")).dt.epoch("us") / 1e6 if kind == "date" else series
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _knots(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ascending = np.sort(values[np.isfinite(values)])
    if not len(ascending):
        return np.zeros(N_KNOTS)
    knots: NDArray[np.float64] = ascending[np.linspace(0, len(ascending) - 1, N_KNOTS).round().astype(np.int64)]
    return knots


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags((1 / np.maximum(norms, 1e-12)).astype(np.float32)) @ matrix)
