"""Rules at work on a batch of queries, as `shortlist.ranking.rerank` calls them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Mask, Rows
from shortlist.ranking.caps import Cap
from shortlist.ranking.rerank import Ruled
from shortlist.rules.binding import Bound, BoundRules
from shortlist.rules.plan import Plan
from shortlist.stages import Queries


def moment_of(at: Any, in_seconds: bool) -> int | None:
    """The moment at which date windows are judged: the caller's ``at`` (``None``), else what the clock shows.

    An editor's dates are those of the calendar. Without ``at`` a model is asked at the end of its log, which may lie
    years back; and a log may know no dates.
    """
    return None if at is not None and in_seconds else int(time.time())


@dataclass(frozen=True, eq=False)
class Acting:
    """See `shortlist.ranking.rerank.ActingRules`.

    Attributes:
        bound: the rules.
        moment: Unix seconds, for all queries; ``None`` = each query's own.
        user_ids: the caller's, one per query: a rule may name somebody whom the model does not know.
    """

    bound: BoundRules
    moment: int | None
    user_ids: Sequence[Any]
    _plans: dict[tuple[int, int, Any], Plan] = field(default_factory=dict)

    def block(self, start: int, stop: int) -> "Acting":
        return replace(self, user_ids=self.user_ids[start:stop])

    def plan(self, queries: Queries, q: int) -> Plan:
        """What holds for query q."""
        key = self._whom(queries, q)
        if key not in self._plans:
            self._plans[key] = self.bound.plan(*key)
        return self._plans[key]

    def holding(self, queries: Queries, q: int) -> list[Bound]:
        """The rules that hold for query q."""
        return self.bound.holding(*self._whom(queries, q))

    def _whom(self, queries: Queries, q: int) -> tuple[int, int, Any]:
        row = int(queries.user_rows[q])
        at = int(queries.at[q]) if self.moment is None else self.moment
        return row, at, self.user_ids[q] if row < 0 else None

    def allowed(self, queries: Queries, allowed: Mask) -> Mask:
        left = allowed.copy()
        for q in range(len(queries)):
            excluded = self.plan(queries, q).excluded
            if excluded is not None:
                left[q] &= ~excluded
        return left

    def wanted(self, queries: Queries, allowed: Mask) -> list[Rows]:
        return [self.plan(queries, q).wanted(allowed[q]) for q in range(len(queries))]

    def caps(self, queries: Queries, q: int) -> tuple[Cap, ...]:
        return self.plan(queries, q).caps

    def act(self, queries: Queries, q: int, item_rows: Rows, scores: NDArray[np.float64]) -> Ruled:
        return self.plan(queries, q).arrange(item_rows)
