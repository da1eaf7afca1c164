"""What every model is held against: lists that need no training worth the name."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.log import Log, Mask, Rows
from shortlist.retrieval.popularity import ItemCounts
from shortlist.stages import Queries
from shortlist.topk import top_k

RECENT_TICKS = 30
"""The window of recent popularity: days, or 256ths of a log that is short or has no dates."""
BASELINES = ("popularity", "recent popularity", "co-visitation of the last item")
QUERIES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Baselines:
    """The three baselines, counted on one training log.

    - ``popularity``: how often the item was taken up in all of training.
    - ``recent popularity``: the same in the 30 days before the moment of asking.
    - ``co-visitation of the last item``: how often the item came directly after the last item of the history.

    Equal counts go by popularity, then by item row, so that each fills any list.

    Attributes:
        popularity: float64 (n_items,), in [0, 1): all-time counts over their greatest plus one.
        item_counts: the same events by day.
        successors: float64 (n_items, n_items): row i counts what came directly after i.
    """

    popularity: NDArray[np.float64]
    item_counts: ItemCounts
    successors: sp.csr_matrix

    @classmethod
    def of(cls, log: Log) -> "Baselines":
        """Count the positives of a log."""
        log = log.positives()
        counts = np.bincount(log.item_rows, log.weights, log.n_items)
        popularity: NDArray[np.float64] = counts / (counts.max(initial=0) + 1)
        return cls(popularity, ItemCounts.of(log), count_successors(log))

    def scores(self, name: str, queries: Queries) -> NDArray[np.float64]:
        """float64 (n_queries, n_items): what one baseline sorts by, in its order and then by popularity."""
        if name == "popularity":
            return np.repeat(self.popularity[None], len(queries), axis=0)
        if name == "recent popularity":
            ticks, places = self.item_counts.distinct_ticks(queries.at)
            recent = np.stack([self.item_counts.before(tick, RECENT_TICKS) for tick in ticks])
            return (recent + self.popularity)[places]
        last = np.where(queries.lengths > 0, np.append(queries.item_rows, 0)[queries.offsets[1:] - 1], -1)
        followers = np.zeros((len(queries), len(self.popularity)))
        followers[last >= 0] = self.successors[last[last >= 0]].toarray()
        return followers + self.popularity

    def lists(self, name: str, queries: Queries, seen: Queries | None, k: int) -> Rows:
        """int32 (n_queries, k): the first k items of each query, -1 = padding where fewer are unseen.

        Args:
            seen: these items are left out; ``None`` = nothing is.
        """
        ranked = np.full((len(queries), k), -1, dtype=np.int32)
        n_items = len(self.popularity)
        for start, block in queries.blocks(QUERIES_AT_ONCE):
            allowed = allowed_items(seen, start, start + len(block), n_items)
            for q, items in enumerate(top_k(self.scores(name, block), k, allowed), start=start):  # type: ignore[arg-type]
                ranked[q, : len(items)] = items
        return ranked


def count_successors(log: Log) -> sp.csr_matrix:
    """float64 (n_items, n_items): how often item j is a user's event directly after item i.

    >>> log = Log(*np.array([[0, 0, 0], [2, 0, 2], [1, 2, 3]]), *np.ones((2, 3)), n_users=1, n_items=3)
    >>> count_successors(log).toarray()
    array([[0., 0., 1.],
           [0., 0., 0.],
           [1., 0., 0.]])
    """
    order, _ = log.by_user
    users, items = log.user_rows[order], log.item_rows[order]
    same_user = users[:-1] == users[1:]
    pairs = (items[:-1][same_user], items[1:][same_user])
    return sp.csr_matrix((np.ones(len(pairs[0])), pairs), shape=(log.n_items, log.n_items))


def allowed_items(seen: Queries | None, start: int, stop: int, n_items: int) -> Mask:
    """bool (stop - start, n_items): false where an item is among what queries ``start`` to ``stop - 1`` have seen."""
    allowed = np.ones((stop - start, n_items), dtype=bool)
    if seen is not None:
        block = seen.block(start, stop)
        allowed[block.event_queries, block.item_rows] = False
    return allowed
