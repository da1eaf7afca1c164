"""What may be recommended: what a query's filters leave of the catalogue, less what each user has seen."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from shortlist.data.log import Mask, Rows
from shortlist.data.vocabulary import Vocabulary
from shortlist.data.where import where_mask
from shortlist.errors import QueryError
from shortlist.requests import parse_ids
from shortlist.stages import Queries

MOST_CONDITIONS = 256
"""Answers to so many conditions are kept."""


class Filters:
    """Turns ``include_items``, ``exclude_items`` and ``where`` into one mask.

    Args:
        items: the catalogue.
        vocabulary: of its ids.
    """

    def __init__(self, items: pl.DataFrame, vocabulary: Vocabulary) -> None:
        self._items, self._vocabulary = items, vocabulary
        self._met: dict[str, Mask] = {}

    def allowed(
        self,
        include_items: Iterable[Any] | None = None,
        exclude_items: Iterable[Any] | None = None,
        where: str | None = None,
    ) -> Mask:
        """bool (n_items,); for the arguments see `Cascade.recommend`.

        Raises:
            QueryError: an argument is of a wrong kind, or ``where`` does not fit the item attributes.

        >>> items = pl.DataFrame({"item_id": ["a", "b", "c"], "year": [1990, 2000, 2010]})
        >>> filters = Filters(items, Vocabulary(items["item_id"]))
        >>> filters.allowed(exclude_items=["c", "never heard of"], where="year >= 2000").tolist()
        [False, True, False]
        """
        allowed = np.ones(len(self._items), dtype=bool)
        if include_items is not None:
            allowed = np.zeros(len(self._items), dtype=bool)
            allowed[self._rows(include_items, "include_items")] = True
        if exclude_items is not None:
            allowed[self._rows(exclude_items, "exclude_items")] = False
        if where is not None:
            allowed &= self._meeting(where)
        return allowed

    def _rows(self, item_ids: Iterable[Any], argument: str) -> Rows:
        if isinstance(item_ids, str | bytes) or not hasattr(item_ids, "__iter__"):
            raise QueryError(f"{argument}: expected a list of item ids, got {item_ids!r}")
        rows = self._vocabulary.rows(parse_ids(item_ids, argument))
        return rows[rows >= 0]

    def _meeting(self, where: str) -> Mask:
        if not isinstance(where, str):
            raise QueryError(f"where: expected a condition as text, got {where!r}")
        if where not in self._met:
            mask = where_mask(where, self._items)
            if len(self._met) >= MOST_CONDITIONS:
                self._met.clear()
            self._met[where] = mask
        return self._met[where]


def allowed_masks(allowed: Mask, n: int, seen: Queries | None) -> Mask:
    """bool (n, n_items): what each of n queries may be recommended.

    Args:
        allowed: bool (n_items,), the same for all.
        seen: n histories whose items are left out; ``None`` = they are not.
    """
    masks = np.repeat(allowed[None], n, axis=0)
    if seen is not None:
        masks[seen.event_queries, seen.item_rows] = False
    return masks
