"""Stage 1: sources, merged, with the features that stage 2 reads from them."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from shortlist.data.log import Mask
from shortlist.ranking.features import Features
from shortlist.retrieval.merge import Tables, retrieve
from shortlist.retrieval.popularity import Popularity
from shortlist.stages import Candidates, Queries, Source


class Found(NamedTuple):
    """A shortlist, and what the sources say of the whole catalogue, with which more is found at little cost."""

    candidates: Candidates
    tables: Tables


@dataclass(frozen=True)
class FirstStage:
    """Stage 1 with the features that stage 2 reads from it, all fitted on one log.

    Attributes:
        sources: the retrievers, in the order of the candidates' columns.
        fallback: all-time popularity; tops up where the sources have too little evidence.
        features: turns candidates into rows.
        new_share: of the candidates' places, kept for items without events.
    """

    sources: tuple[Source, ...]
    fallback: Popularity
    features: Features
    new_share: float = 0.0

    def tables(self, queries: Queries) -> Tables:
        """What the sources say of the whole catalogue."""
        return Tables.of(self.sources, queries)

    def retrieve(self, queries: Queries, allowed: Mask, n: int, tables: Tables | None = None) -> Candidates:
        """n candidates per query, see `shortlist.retrieval.merge.retrieve`."""
        weights = self.features.weights_of(queries)
        return retrieve(self.sources, self.fallback, queries, allowed, n, weights, self.new_share, tables)

    def further(self, queries: Queries, tables: Tables, allowed: Mask, n: int, asked: Mask, size: int) -> Candidates:
        """Items besides the n candidates, in the order that `retrieve` gives to what is asked for.

        Their ``proposers`` are the sources that have them among their n best of all that is allowed, as a candidate's
        are: often none.

        Args:
            asked: bool (n_queries, n_items), of which ``size`` are wanted.
        """
        found = self.retrieve(queries, asked, size, tables)
        proposed = tables.proposed(n, allowed)[:, found.query_rows, found.item_rows]
        return replace(found, proposers=np.ascontiguousarray(proposed.T))
