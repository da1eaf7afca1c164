"""At most so many items of a group in an answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.log import Mask
from shortlist.errors import QueryError


@dataclass(frozen=True, eq=False)
class Cap:
    """At most ``limit`` items of any one group.

    Attributes:
        name: what is capped, as notes say it.
        limit: from 0 on; 0 = such items come only where nothing else is left.
        offsets: int64 (n_items + 1,): item i is in the groups ``codes[offsets[i]:offsets[i + 1]]``; in none = never
            capped.
        codes: int32, no code twice for one item.
        rule: name of the rule that wants it, which marks items beyond the cap; empty = the request does.
    """

    name: str
    limit: int
    offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    rule: str = ""

    @property
    def step(self) -> str:
        """What `acted` calls it."""
        return "rules" if self.rule else "caps"

    def of(self, item_row: int) -> list[int]:
        """The groups of an item."""
        groups: list[int] = self.codes[self.offsets[item_row] : self.offsets[item_row + 1]].tolist()
        return groups


class Count:
    """How many items of each group an answer holds so far."""

    def __init__(self, caps: Iterable[Cap]) -> None:
        self.caps = tuple(caps)
        self.counts: list[dict[int, int]] = [{} for _ in self.caps]

    def fits(self, item_row: int) -> bool:
        """Whether one more item is within all caps."""
        return all(
            counts.get(group, 0) < cap.limit
            for cap, counts in zip(self.caps, self.counts, strict=True)
            for group in cap.of(item_row)
        )

    def exceeded(self, item_row: int) -> tuple[Cap, ...]:
        """The caps that one more item would exceed."""
        return tuple(
            cap
            for cap, counts in zip(self.caps, self.counts, strict=True)
            if any(counts.get(group, 0) >= cap.limit for group in cap.of(item_row))
        )

    def add(self, item_row: int) -> None:
        for cap, counts in zip(self.caps, self.counts, strict=True):
            for group in cap.of(item_row):
                counts[group] = counts.get(group, 0) + 1

    def closed(self, n_items: int) -> Mask:
        """bool (n_items,): the items that no longer fit."""
        closed = np.zeros(n_items, dtype=bool)
        for cap, counts in zip(self.caps, self.counts, strict=True):
            full = np.isin(cap.codes, [group for group, n in counts.items() if n >= cap.limit]) | (cap.limit == 0)
            closed[np.repeat(np.arange(n_items), np.diff(cap.offsets))[full]] = True
        return closed


def groups_of(column: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """``offsets`` and ``codes`` of a `Cap`: a group per value; lists are in a group for each of their values.

    >>> offsets, codes = groups_of(pl.Series([["war", "drama"], [], None, ["drama", "drama"]]))
    >>> offsets.tolist(), len(set(codes.tolist())), codes[2] in codes[:2]
    ([0, 2, 2, 2, 3], 2, True)
    """
    frame = pl.DataFrame({"row": np.arange(len(column)), "value": column})
    pairs = (frame.explode("value") if column.dtype == pl.List else frame).drop_nulls().unique(maintain_order=True)
    counts = np.bincount(pairs["row"].to_numpy(), minlength=len(column))
    codes = pairs["value"].rank("dense").to_numpy().astype(np.int32) if len(pairs) else np.empty(0, dtype=np.int32)
    return np.concatenate([[0], np.cumsum(counts)]), codes


def parse_caps(caps: Any, columns: Sequence[str]) -> dict[str, int]:
    """Checked limits by the name of an item attribute.

    Args:
        caps: a mapping, for example ``{"genres": 3}``, or ``None``.
        columns: of the item table.

    Raises:
        QueryError: another kind of value, an unknown attribute, or a limit that is no whole number of at least 1.
    """
    if caps is None:
        return {}
    if not isinstance(caps, Mapping):
        raise QueryError(f"caps: expected a mapping from an item attribute to a number, got {caps!r}")
    for name, limit in caps.items():
        attributes = [column for column in columns if column != "item_id"]
        if name not in attributes:
            raise QueryError(f"caps: there is no item attribute {name!r}; there are {', '.join(attributes) or 'none'}")
        if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1:
            raise QueryError(f"caps: {name}: expected a whole number of at least 1, got {limit!r}")
    return {str(name): int(limit) for name, limit in caps.items()}
