"""External id <-> row number."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from shortlist.data.log import Rows

Kind = Literal["integer", "string"]
BULK = 2_000
"""From this many ids on a join is faster than a dictionary, which would have to be built first."""


class Vocabulary:
    """The ids of one kind of thing, users or items; the row number of an id is its position.

    Args:
        ids: a series of distinct ids, Int64 or String.

    >>> vocabulary = Vocabulary(pl.Series(["a", "b"]))
    >>> vocabulary.rows(["b", "z", 7])
    array([ 1, -1, -1], dtype=int32)
    >>> vocabulary.ids.gather([1, 0]).to_list()
    ['b', 'a']
    """

    def __init__(self, ids: pl.Series) -> None:
        self.ids = ids.rename("id")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kind(self) -> Kind:
        return "string" if self.ids.dtype == pl.String else "integer"

    @cached_property
    def _row_of(self) -> dict[Any, int]:
        return {external: row for row, external in enumerate(self.ids.to_list())}

    def rows(self, ids: Iterable[Any]) -> Rows:
        """int32 (n,): the row number of each id, -1 where it is not in the vocabulary.

        An id of the other kind, ``None`` or ``True`` is simply an unknown id.
        """
        if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
            ids = pl.Series(ids)
        if isinstance(ids, pl.Series) and ids.dtype.is_integer():
            ids = ids.cast(pl.Int64, strict=False)
        if isinstance(ids, pl.Series) and len(ids) >= BULK and ids.dtype == self.ids.dtype:
            known = pl.DataFrame({"id": self.ids, "row": np.arange(len(self), dtype=np.int32)})
            found = ids.rename("id").to_frame().join(known, on="id", how="left", maintain_order="left")
            return found["row"].fill_null(-1).to_numpy().astype(np.int32)
        wanted = str if self.kind == "string" else int
        values = [value.item() if isinstance(value, np.generic) else value for value in ids]
        return np.array([self._row_of.get(v, -1) if type(v) is wanted else -1 for v in values], dtype=np.int32)
